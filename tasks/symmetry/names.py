"""Facts that follow from the names of groups (no torch): how they act, their size, whether Haar measure exists."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping

TRIVIAL = "trivial"
"""The group of tasks without a symmetry: its only element leaves every node at its place."""
NODE_GROUPS = frozenset({"S_n", "C_n", "D_n", TRIVIAL})


def nothing_to_act_on(name: str) -> str:
    """The error message for a group of space if a task has no points or vectors."""
    return f"{name} acts on points and vectors, and there are none"


def no_haar_measure(name: str) -> str:
    """The error message for group averaging over a group without a Haar probability measure."""
    return (
        f"{name} has no Haar probability measure, so there is no group averaging over it: "
        "use canonicalization or probabilistic symmetrization"
    )


def numbered(names: Iterable[str], number: int | None) -> tuple[str, ...]:
    """The names with ``number`` in place of ``#``."""
    return tuple(name.replace("#", str(number)) for name in names)


def family(name: str) -> tuple[str, int]:
    """Splits a name into its family and its number: ``O(3)`` gives ``O(#)`` and 3; without a number it gives 0."""
    number = re.search(r"[1-9][0-9]*", name)
    return (name[: number.start()] + "#" + name[number.end() :], int(number[0])) if number else (name, 0)


LOG_ORDERS: Mapping[str, Callable[[int], float]] = {  # of n nodes, or of the number in a name
    "S_n": lambda n: math.lgamma(n + 1),
    "C_n": math.log,
    "D_n": lambda n: math.log(2 * n),
    "C_#": math.log,
    "D_#": lambda m: math.log(2 * m),
    "B_#": lambda d: d * math.log(2) + math.lgamma(d + 1),
    TRIVIAL: lambda n: 0.0,
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
SINGLE = ("S_n", "C_n", "D_n", "SO+(1,3)", TRIVIAL)
GROUPS = (*SINGLE, *FAMILIES)


def is_group(name: str) -> bool:
    """Returns True if there is a group of this name."""
    kind, number = family(name)
    return name in SINGLE or (number > 0 and kind in FAMILIES)


def log_order(names: Iterable[str], nodes: int) -> float | None:
    """The natural logarithm of the order of a group.

    Args:
        names: The factors of a direct product.
        nodes: Number of nodes that node groups permute.

    Returns:
        The logarithm for all finite factors together, or None if there are none.
    """
    found = [LOG_ORDERS[kind](number or nodes) for kind, number in map(family, names) if kind in LOG_ORDERS]
    return sum(found) if found else None


def dimension(names: Iterable[str]) -> int | None:
    """The dimension of all Lie groups among the factors together, or None if there are none."""
    found = [DIMENSIONS[kind](number) for kind, number in map(family, names) if kind in DIMENSIONS]
    return sum(found) if found else None


def space_of(name: str) -> int:
    """The dimension of the space that a group acts on, or 0 if it permutes nodes."""
    kind, number = family(name)
    if name in NODE_GROUPS:
        return 0
    return {"C_#": 2, "D_#": 2, "SO+(#,3)": 4}.get(kind, 2 * number if kind.startswith(("U", "SU")) else number)


def factors_in(group: str | Iterable[str]) -> list[str]:
    """The names of the factors of a group that is written as text (``S_n x O(3)``) or given as names; not checked."""
    return re.split(r"\s+x\s+|\s*\u00d7\s*", group.strip()) if isinstance(group, str) else list(group)


def clash(names: Iterable[str]) -> str | None:
    """Returns None if ``names`` can be the factors of a direct product, else the reason as one clause."""
    names = list(names)
    permuting = [name for name in names if name in NODE_GROUPS]
    for acting, where in ((permuting, "nodes"), ([name for name in names if name not in permuting], "space")):
        if len(acting) > 1:
            return f"{' and '.join(acting)} both act on {where}: a direct product takes one of them"
    return None


def nodes_first(names: Iterable[str]) -> list[str]:
    """Sorts factors in the order that tasks use: node groups first.

    Factors commute, but their noise is drawn in order, so the order is part of a run's identity.
    """
    return sorted(names, key=lambda name: name not in NODE_GROUPS)


def keeps_inputs(names: Iterable[str], nodes: int) -> bool:
    """Returns True if inputs with a non-trivial stabiliser exist that random teachers can use.

    Args:
        names: The factors of a group.
        nodes: Number of nodes of the input.
    """
    permuting = next((name for name in names if name in NODE_GROUPS), None)
    space = next((name for name in names if name not in NODE_GROUPS), None)
    kind, number = family(space or "")
    order = 2
    if kind == "C_#":
        order = _smallest_factor(number)
    elif space is None and permuting == "C_n":
        order = _smallest_factor(nodes)
    if _permutes(permuting, order, nodes):
        return True
    if kind in ("D_#", "SO+(#,3)"):
        return True
    flipped = 2 if kind.startswith(("SO", "SE", "SSim", "SU")) else 1  # coordinates, so that orientation is kept
    return space is not None and kind not in ("C_#", "Aff(#)") and number > flipped


def _permutes(group: str | None, order: int, nodes: int) -> bool:
    """Returns True if a group of nodes has an element of prime order ``order``."""
    if group in (None, TRIVIAL) or order == 1:
        return False
    if group == "S_n":
        return nodes >= order
    return nodes % order == 0 or (group == "D_n" and order == 2 and nodes > 2)


def _smallest_factor(number: int) -> int:
    return next((k for k in range(2, math.isqrt(number) + 1) if number % k == 0), number)
