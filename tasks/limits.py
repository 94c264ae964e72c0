"""Which values a parameter takes, so that another one is refused before anything starts (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.symmetry.names import GROUPS, is_group


@dataclass(frozen=True, kw_only=True)
class Range:
    """Finite numbers between these, ``least`` and ``most`` included."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    whole: bool = False

    def accepts(self, value: Any) -> bool:
        if type(value) is not int and (self.whole or type(value) is not float):
            return False
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        kind = "a whole number, " if self.whole else ""
        return kind + " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)


class OneOf:
    """Some names."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def accepts(self, value: Any) -> bool:
        return value in self.names

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


@dataclass(frozen=True)
class GroupName:
    """Names of groups, with # for their number where it is given elsewhere."""

    numbered_elsewhere: bool = False

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        return is_group(value.replace("#", "1") if self.numbered_elsewhere else value)

    def __str__(self) -> str:
        return f"a group of {', '.join(GROUPS)}, where # is a number"


@dataclass(frozen=True)
class Each:
    """Lists of what ``limit`` accepts."""

    limit: Range | OneOf | GroupName

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list | tuple) and all(map(self.limit.accepts, value))

    def __str__(self) -> str:
        return f"a list, each entry {self.limit}"


Limit = Range | OneOf | GroupName | Each
Limits = Mapping[str, Limit]
"""By the name of a parameter; the default is always taken."""

COUNT = Range(least=1, whole=True)
SEED = Range(least=0, whole=True)
POSITIVE = Range(above=0)
NOT_NEGATIVE = Range(least=0)
SHARE = Range(least=0, most=1)
PART = Range(least=0, below=1)
