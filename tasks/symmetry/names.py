"""What the names of groups tell (no torch): how they act, and which have no Haar probability measure."""

from __future__ import annotations

NODE_GROUPS = frozenset({"S_n", "C_n", "D_n"})


def no_haar_measure(name: str) -> str:
    """Why there is no group averaging over a group of this name."""
    return (
        f"{name} has no Haar probability measure, so there is no group averaging over it: "
        "take canonicalization or a learned sampler (probabilistic symmetrization)"
    )
