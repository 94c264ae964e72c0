"""C_n and D_n: the symmetries of a cyclic sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.element import Permutation
from tasks.symmetry.groups.group import NodeGroup
from tasks.symmetry.groups.symmetric import identity_permutation
from tasks.symmetry.structure import Structure


class SequenceGroup(NodeGroup):
    """C_n, shifts of the sequence that the n nodes which exist are, or D_n, which also reads it backwards."""

    def __init__(self, reversals: bool = False) -> None:
        self.reversals = reversals

    @property
    def name(self) -> str:
        return "D_n" if self.reversals else "C_n"

    def identity(self, x: Structure) -> Permutation:
        return identity_permutation(x)

    def head(self, x: Structure, scores: Tensor) -> Permutation:
        """g whose inverse starts at the node of highest score and, in D_n, goes on to its higher neighbour."""
        scores = scores.masked_fill(~x.mask[:, None], -torch.inf)
        start = scores.argmax(-1, keepdim=True)
        length = x.node_counts[:, None, None]
        step = torch.ones_like(start)
        if self.reversals:
            after, before = (scores.gather(-1, (start + side) % length) for side in (1, -1))
            step = torch.where(after >= before, step, -step)
        places = torch.arange(x.nodes, device=start.device)
        return Permutation.from_images(torch.where(x.mask[:, None], (start + step * places) % length, places))
