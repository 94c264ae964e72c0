"""Which samplers cover which groups, by name (no torch).

The functions return None, or the reason why a group is not covered and what to do, in one clause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.cards import Input
from tasks.symmetry.names import NODE_GROUPS, no_haar_measure, nothing_to_act_on

GEOMETRY: frozenset[Input] = frozenset({"points", "vectors"})
WITHOUT_FINITE_FRAME = re.compile(r"S?U\(.*|SO\+.*")
WITH_PRINCIPAL_AXES = re.compile(r"S?(O|E|Sim)\(\d+\)|Aff\(\d+\)")


def uncovered(group: Sequence[str], inputs: frozenset[Input]) -> str | None:
    """Why no sampler covers the group with these factors on a task with these inputs; None if some do."""
    return next((nothing_to_act_on(name) for name in _in_space(group) if not inputs & GEOMETRY), None)


def uncovered_by_haar(group: Sequence[str], inputs: frozenset[Input]) -> str | None:
    """Why group averaging does not cover the group; None if it does."""
    return next((no_haar_measure(name) for name in group if name.startswith("Aff")), None)


def uncovered_by_frames(group: Sequence[str], inputs: frozenset[Input]) -> str | None:
    """Why frame averaging does not cover the group; None if it does."""
    for name in group:
        if WITHOUT_FINITE_FRAME.fullmatch(name):
            return (
                f"{name} has no finite frame here: "
                "use group averaging, canonicalization or probabilistic symmetrization"
            )
    if "S_n" in group and "edges" not in inputs and not _in_space(group):
        return (
            "a frame of S_n sorts nodes by their edges, and there are none: "
            "use group averaging, canonicalization or probabilistic symmetrization, or S_n with a group of space"
        )
    return None


def uncovered_by_minimal_frames(group: Sequence[str], inputs: frozenset[Input]) -> str | None:
    """Why minimal frames do not cover the group; None if they do."""
    for name in group:
        if name != "S_n" and not WITH_PRINCIPAL_AXES.fullmatch(name) and not WITHOUT_FINITE_FRAME.fullmatch(name):
            return f"{name} has no canonical form here: use frame averaging, which averages over the whole group"
    return uncovered_by_frames(group, inputs)


def _in_space(group: Sequence[str]) -> list[str]:
    return [name for name in group if name not in NODE_GROUPS]
