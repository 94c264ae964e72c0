"""Bounds on the sizes of networks, frames and groups (no torch).

The functions return None, or what exceeds a bound in one clause.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.symmetry.names import LOG_ORDERS, NODE_GROUPS, family, space_of

SCORER_HEADS = 4
"""The number of attention heads of a transformer as q."""

VECTOR_DROPOUT = 0.08
"""The published dropout of vector neurons as q."""

MOST_AXES = 20
"""The most axes of a frame: a single-precision number draws all signs, each with probability one half."""

MOST_ELEMENTS = 1024
"""The most elements of an exact frame."""

MOST_SOFT_ELEMENTS = 4096
"""The most elements of a finite group of matrices that q is trained on, which takes a mean over all of them."""

LEAST_VECTOR_WIDTH = 6
"""The least width of vector neurons: a third of it is the number of vectors, half of which make a frame."""

WITH_AXES = ("O(#)", "SO(#)", "E(#)", "SE(#)", "Sim(#)", "SSim(#)", "Aff(#)")


def undivided(width: int, heads: int) -> str | None:
    """Why attention heads cannot share a width; None if they can."""
    return f"width should be a multiple of heads, unlike {width} and {heads}" if width % heads else None


def too_narrow_for_vectors(width: int) -> str | None:
    """Why vector neurons cannot have this width; None if they can."""
    if width < LEAST_VECTOR_WIDTH:
        return f"width should be at least {LEAST_VECTOR_WIDTH} for vector neurons, not {width}"
    return None


def frame_is_too_large(exact: bool, group: Sequence[str], nodes: int) -> str | None:
    """Why a group that is covered has no frame on this number of nodes; None if it has."""
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
    """Why q cannot be trained on a group; None if it can."""
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
    """The number of axes whose signs a frame of this group chooses."""
    kind, _ = family(name)
    return space_of(name) if kind in WITH_AXES else 0


def _log_choices(name: str, nodes: int) -> float:
    """The logarithm of the number of elements of an exact frame of this group."""
    kind, number = family(name)
    if kind in LOG_ORDERS:
        return 0.0 if name == "S_n" else LOG_ORDERS[kind](number or nodes)
    return (_axes(name) - kind.startswith(("SO", "SE", "SS"))) * math.log(2) if _axes(name) else 0.0
