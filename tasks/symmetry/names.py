"""What the names of groups tell (no torch): how they act, how large they are, which have no Haar measure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping

NODE_GROUPS = frozenset({"S_n", "C_n", "D_n"})


def nothing_to_act_on(name: str) -> str:
    """What a group of space is told where there is no geometry."""
    return f"{name} acts on points and vectors, and there are none"


def no_haar_measure(name: str) -> str:
    """Why there is no group averaging over a group of this name."""
    return (
        f"{name} has no Haar probability measure, so there is no group averaging over it: "
        "take canonicalization or a learned sampler (probabilistic symmetrization)"
    )


def numbered(names: Iterable[str], number: int | None) -> tuple[str, ...]:
    """The names with this number in place of #."""
    return tuple(name.replace("#", str(number)) for name in names)


def family(name: str) -> tuple[str, int]:
    """``O(#)`` and 3 of ``O(3)``; a name without a number comes with 0."""
    number = re.search(r"[1-9][0-9]*", name)
    return (name[: number.start()] + "#" + name[number.end() :], int(number[0])) if number else (name, 0)


LOG_ORDERS: Mapping[str, Callable[[int], float]] = {  # of n nodes, or of the number in a name
    "S_n": lambda n: math.lgamma(n + 1),
    "C_n": math.log,
    "D_n": lambda n: math.log(2 * n),
    "C_#": math.log,
    "D_#": lambda m: math.log(2 * m),
    "B_#": lambda d: d * math.log(2) + math.lgamma(d + 1),
}
DIMENSIONS: Mapping[str, Callable[[int], int]] = {
    "O(#)": lambda d: d * (d - 1) // 2,
    "SO(#)": lambda d: d * (d - 1) // 2,
    "E(#)": lambda d: d * (d + 1) // 2,
    "SE(#)": lambda d: d * (d + 1) // 2,
    "Sim(#)": lambda d: d * (d + 1) // 2 + 1,
    "SSim(#)": lambda d: d * (d + 1) // 2 + 1,
    "Aff(#)": lambda d: d * (d + 1),
    "U(#)": lambda d: d**2,
    "SU(#)": lambda d: d**2 - 1,
    "SO+(#,3)": lambda one: 6,
}


FAMILIES = tuple(kind for kind in (*LOG_ORDERS, *DIMENSIONS) if "#" in kind and kind != "SO+(#,3)")
SINGLE = ("S_n", "C_n", "D_n", "SO+(1,3)")
GROUPS = (*SINGLE, *FAMILIES)


def is_group(name: str) -> bool:
    """Whether a group has this name."""
    kind, number = family(name)
    return name in SINGLE or (number > 0 and kind in FAMILIES)


def log_order(names: Iterable[str], nodes: int) -> float | None:
    """The logarithm of the number of elements of all finite factors on so many nodes; ``None`` if there are none."""
    found = [LOG_ORDERS[kind](number or nodes) for kind, number in map(family, names) if kind in LOG_ORDERS]
    return sum(found) if found else None


def dimension(names: Iterable[str]) -> int | None:
    """The dimension of all Lie groups among the factors; ``None`` if there are none."""
    found = [DIMENSIONS[kind](number) for kind, number in map(family, names) if kind in DIMENSIONS]
    return sum(found) if found else None
