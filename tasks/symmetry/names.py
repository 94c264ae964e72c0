"""What the names of groups tell (no torch): how they act, and which have no Haar probability measure."""

from __future__ import annotations

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
