"""The values that settings accept, checked before anything starts (no torch).

The method ``wrong`` of a limit returns what a value should be, or None if it is accepted. The method ``normal`` returns
the normal form of an accepted value, so that settings with the same meaning are the same run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.symmetry.names import GROUPS, clash, is_group, nodes_first

LARGEST = 2**31 - 1
"""The largest whole number. Tables have columns of this type, and no memory holds more items."""

SMALLEST, MOST = 1e-12, 1e9
"""The smallest positive and the largest of other numbers, beyond which single precision rounds to 0 or infinity."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Finite numbers within bounds, of which ``least`` and ``most`` are inclusive."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    whole: bool = False

    def wrong(self, value: Any) -> str | None:
        """What the value should be; None if it is accepted."""
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
        """The normal form of an accepted value."""
        return int(value) if self.whole else float(value) + 0.0  # turns -0.0 into 0.0

    def __str__(self) -> str:
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        kind = "a whole number, " if self.whole else ""
        return kind + " and ".join(f"{word} {bound:.10g}" for word, bound in bounds.items() if bound is not None)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def wrong(self, value: Any) -> str | None:
        """What the value should be; None if it is accepted."""
        return None if isinstance(value, bool) else str(self)

    def normal(self, value: Any) -> bool:
        """The normal form of an accepted value."""
        return value

    def __str__(self) -> str:
        return "true or false"


class OneOf:
    """One of several names."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def wrong(self, value: Any) -> str | None:
        """What the value should be; None if it is accepted."""
        return None if isinstance(value, str) and value in self.names else str(self)

    def normal(self, value: Any) -> str:
        """The normal form of an accepted value."""
        return value

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


@dataclass(frozen=True)
class Each:
    """Lists of at most ``most`` entries that ``limit`` accepts."""

    limit: Range
    most: int = 1_000

    def wrong(self, value: Any) -> str | None:
        """What the value should be; None if it is accepted."""
        if not isinstance(value, list | tuple):
            return str(self)
        if len(value) > self.most:
            return f"a list of at most {self.most} entries"
        entry = next(filter(None, map(self.limit.wrong, value)), None)
        return None if entry is None else f"a list, each entry {entry}"

    def normal(self, value: Any) -> list[Any]:
        """The normal form of an accepted value."""
        return [self.limit.normal(entry) for entry in value]

    def __str__(self) -> str:
        return f"a list, each entry {self.limit}"


class SomeOf:
    """Lists of several names, in any order."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def wrong(self, value: Any) -> str | None:
        """What the value should be; None if it is accepted."""
        fits = isinstance(value, list | tuple) and all(isinstance(name, str) and name in self.names for name in value)
        return None if fits else f"a list, each entry one of {', '.join(self.names)}"

    def normal(self, value: Any) -> list[str]:
        """The normal form of an accepted value."""
        return [name for name in self.names if name in value]

    def __str__(self) -> str:
        return f"a list, each entry one of {', '.join(self.names)}"


@dataclass(frozen=True)
class Numbers:
    """Lists of different whole numbers of at least ``least``, in any order; ``some`` excludes the empty list."""

    least: int
    some: bool = False

    def wrong(self, value: Any) -> str | None:
        """What the value should be; None if it is accepted."""
        whole = isinstance(value, list | tuple) and all(type(entry) is int for entry in value)
        if not whole or (self.some and not value) or any(not self.least <= entry <= LARGEST for entry in value):
            return str(self)
        return str(self) if len(set(value)) < len(value) else None

    def normal(self, value: Any) -> list[int]:
        """The normal form of an accepted value."""
        return sorted(value)

    def __str__(self) -> str:
        if self.some:
            return f"a list of one or more different numbers of at least {self.least}"
        return f"a list of different numbers of at least {self.least}"


@dataclass(frozen=True)
class Groups:
    """Lists of names of groups with a direct product, in which # stands for a number that is ``numbered_elsewhere``."""

    numbered_elsewhere: bool = False

    def wrong(self, value: Any) -> str | None:
        """What the value should be; None if it is accepted."""
        if not isinstance(value, list | tuple) or not all(map(self._is_group, value)):
            return str(self)
        reason = clash(value)
        return f"a list of groups that make a product ({reason})" if reason else None

    def _is_group(self, name: Any) -> bool:
        return isinstance(name, str) and is_group(name.replace("#", "1") if self.numbered_elsewhere else name)

    def normal(self, value: Any) -> list[str]:
        """The normal form of an accepted value."""
        return nodes_first(value)

    def __str__(self) -> str:
        return f"a list, each entry a group of {', '.join(GROUPS)}, where # is a number"


Limit = Range | Flag | OneOf | Each | SomeOf | Numbers | Groups
Limits = Mapping[str, Limit]
"""Limits by the name of a setting; the default is always accepted."""

COUNT = Range(least=1, whole=True)
SEED = Range(least=0, most=2**32 - 1, whole=True)
POSITIVE = Range(above=0)
NOT_NEGATIVE = Range(least=0)
SHARE = Range(least=0, most=1)
PART = Range(least=0, below=1)
FLAG = Flag()
