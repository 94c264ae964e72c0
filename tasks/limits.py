"""Which values a parameter takes, so that another one is refused before anything starts (no torch).

Each limit says what is ``wrong`` with a value (what it should be; ``None``: nothing), and spells a value that it takes
in its ``normal`` way: two spellings of one setting are one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.symmetry.names import GROUPS, clash, is_group, nodes_first

LARGEST = 2**31 - 1
"""Of whole numbers: what counts more fits no memory, and no table has a column for it."""

SMALLEST, MOST = 1e-12, 1e9
"""Of other numbers, 0 aside: beyond these single precision knows 0 and infinity only."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Finite numbers between these, ``least`` and ``most`` included."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    whole: bool = False

    def wrong(self, value: Any) -> str | None:
        if type(value) is not int and (self.whole or type(value) is not float):
            return str(self)
        inside = (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )
        return self._out_of_reach(value) if inside else str(self)

    def _out_of_reach(self, value: float) -> str | None:
        if self.whole:
            return f"a whole number of at most {LARGEST}" if abs(value) > max(LARGEST, self.most or 0) else None
        if not abs(value) <= MOST:
            return f"at most {MOST:g}" if value > 0 else f"at least {-MOST:g}"
        return f"at least {SMALLEST:g}" if self.above == 0 and value < SMALLEST else None

    def normal(self, value: Any) -> float:
        return int(value) if self.whole else float(value) + 0.0  # which turns -0.0 into 0.0

    def __str__(self) -> str:
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        kind = "a whole number, " if self.whole else ""
        return kind + " and ".join(f"{word} {bound:.10g}" for word, bound in bounds.items() if bound is not None)


@dataclass(frozen=True)
class Flag:
    """true or false."""

    def wrong(self, value: Any) -> str | None:
        return None if isinstance(value, bool) else str(self)

    def normal(self, value: Any) -> bool:
        return value

    def __str__(self) -> str:
        return "true or false"


class OneOf:
    """Some names."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def wrong(self, value: Any) -> str | None:
        return None if isinstance(value, str) and value in self.names else str(self)

    def normal(self, value: Any) -> str:
        return value

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


@dataclass(frozen=True)
class Each:
    """Lists of what ``limit`` accepts, of at most so many."""

    limit: Range
    most: int = 1_000

    def wrong(self, value: Any) -> str | None:
        if not isinstance(value, list | tuple):
            return str(self)
        if len(value) > self.most:
            return f"a list of at most {self.most} entries"
        entry = next(filter(None, map(self.limit.wrong, value)), None)
        return None if entry is None else f"a list, each entry {entry}"

    def normal(self, value: Any) -> list[Any]:
        return [self.limit.normal(entry) for entry in value]

    def __str__(self) -> str:
        return f"a list, each entry {self.limit}"


class SomeOf:
    """Lists of some names, in any order."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def wrong(self, value: Any) -> str | None:
        fits = isinstance(value, list | tuple) and all(isinstance(name, str) and name in self.names for name in value)
        return None if fits else f"a list, each entry one of {', '.join(self.names)}"

    def normal(self, value: Any) -> list[str]:
        return [name for name in self.names if name in value]

    def __str__(self) -> str:
        return f"a list, each entry one of {', '.join(self.names)}"


@dataclass(frozen=True)
class Numbers:
    """Different whole numbers of at least ``least``, in any order, of which there must be ``some`` or not."""

    least: int
    some: bool = False

    def wrong(self, value: Any) -> str | None:
        whole = isinstance(value, list | tuple) and all(type(entry) is int for entry in value)
        if not whole or (self.some and not value) or any(not self.least <= entry <= LARGEST for entry in value):
            return str(self)
        return str(self) if len(set(value)) < len(value) else None

    def normal(self, value: Any) -> list[int]:
        return sorted(value)

    def __str__(self) -> str:
        if self.some:
            return f"a list of numbers from {self.least} on, no two alike"
        return f"different numbers of at least {self.least}"


@dataclass(frozen=True)
class Groups:
    """Lists of names of groups that make a direct product, with # for their number where it is given elsewhere."""

    numbered_elsewhere: bool = False

    def wrong(self, value: Any) -> str | None:
        if not isinstance(value, list | tuple) or not all(map(self._is_group, value)):
            return str(self)
        reason = clash(value)
        return f"a list of groups that make a product ({reason})" if reason else None

    def _is_group(self, name: Any) -> bool:
        return isinstance(name, str) and is_group(name.replace("#", "1") if self.numbered_elsewhere else name)

    def normal(self, value: Any) -> list[str]:
        return nodes_first(value)

    def __str__(self) -> str:
        return f"a list, each entry a group of {', '.join(GROUPS)}, where # is a number"


Limit = Range | Flag | OneOf | Each | SomeOf | Numbers | Groups
Limits = Mapping[str, Limit]
"""By the name of a parameter; the default is always taken."""

COUNT = Range(least=1, whole=True)
SEED = Range(least=0, most=2**32 - 1, whole=True)
POSITIVE = Range(above=0)
NOT_NEGATIVE = Range(least=0)
SHARE = Range(least=0, most=1)
PART = Range(least=0, below=1)
FLAG = Flag()
