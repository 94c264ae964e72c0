"""Bounds on the sizes of networks, frames and groups, and what exceeds them (no torch)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.symmetry.names import LOG_ORDERS, NODE_GROUPS, family, space_of

SCORER_HEADS = 4
"""Of a transformer as q."""

VECTOR_DROPOUT = 0.08
"""Published for vector neurons as q."""

MOST_AXES = 20
"""Of a frame, whose signs one number in single precision draws, each with an even chance."""

MOST_ELEMENTS = 1024
"""Of an exact frame."""

MOST_SOFT_ELEMENTS = 4096
"""Of a finite group of matrices through which q is trained: all of them are in the mean."""

LEAST_VECTOR_WIDTH = 6
"""A third of the width are vectors, half of which make a frame."""

WITH_AXES = ("O(#)", "SO(#)", "E(#)", "SE(#)", "Sim(#)", "SSim(#)", "Aff(#)")


def undivided(width: int, heads: int) -> str | None:
    """Why attention heads cannot share a width; ``None`` where they can."""
    return f"width should be a multiple of heads, unlike {width} and {heads}" if width % heads else None


def too_narrow_for_vectors(width: int) -> str | None:
    """Why vector neurons cannot have this width; ``None`` where they can."""
    if width < LEAST_VECTOR_WIDTH:
        return f"width should be at least {LEAST_VECTOR_WIDTH} for vector neurons, not {width}"
    return None


def frame_is_too_large(exact: bool, group: Sequence[str], nodes: int) -> str | None:
    """Why there is no frame of a group that is covered."""
    wide = [name for name in group if _axes(name) > MOST_AXES]
    if wide:
        return (
            f"a frame chooses signs of at most {MOST_AXES} axes, and {wide[0]} has more: use group averaging, "
            "canonicalization or probabilistic symmetrization"
        )
    size = math.exp(sum(_log_choices(name, nodes) for name in group))
    if exact and any(name != "S_n" for name in group) and size > MOST_ELEMENTS + 0.5:
        return f"an exact frame has at most {MOST_ELEMENTS:,} elements, and that of {' x '.join(group)} has more"
    return None


def q_is_too_large(group: Sequence[str]) -> str | None:
    """Why q is not trained through the elements of a group."""
    for name in group:
        kind, number = family(name)
        if (
            name not in NODE_GROUPS
            and kind in LOG_ORDERS
            and LOG_ORDERS[kind](number) > math.log(MOST_SOFT_ELEMENTS + 0.5)
        ):
            return (
                f"q is trained through the mean over at most {MOST_SOFT_ELEMENTS:,} elements, and {name} has more: "
                "use group averaging or a smaller group"
            )
    return None


def _axes(name: str) -> int:
    """How many axes a frame of this group has whose signs are open."""
    kind, _ = family(name)
    return space_of(name) if kind in WITH_AXES else 0


def _log_choices(name: str, nodes: int) -> float:
    """The logarithm of the number of elements that an exact frame of this group has."""
    kind, number = family(name)
    if kind in LOG_ORDERS:
        return 0.0 if name == "S_n" else LOG_ORDERS[kind](number or nodes)
    return (_axes(name) - kind.startswith(("SO", "SE", "SS"))) * math.log(2) if _axes(name) else 0.0
