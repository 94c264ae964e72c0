"""C_n and D_n, the symmetries of a cyclic sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.element import Permutation
from tasks.symmetry.groups.group import NodeGroup
from tasks.symmetry.groups.symmetric import identity_permutation
from tasks.symmetry.structure import Structure


class SequenceGroup(NodeGroup):
    """C_n, the cyclic shifts of the n nodes that exist, or D_n, which adds the reversals.

    Args:
        reversals: True for D_n.
    """

    def __init__(self, reversals: bool = False) -> None:
        self.reversals = reversals

    @property
    def name(self) -> str:
        return "D_n" if self.reversals else "C_n"

    def identity(self, x: Structure) -> Permutation:
        return identity_permutation(x)

    def head(self, x: Structure, scores: Tensor) -> Permutation:
        """The elements whose inverse moves the node of highest score first and, in D_n, its higher neighbour second."""
        start = scores.masked_fill(~x.mask[:, None], -torch.inf).argmax(-1, keepdim=True)
        step = torch.ones_like(start)
        if self.reversals:
            step = torch.where(self._rise(x, scores).gather(-1, start) >= 0, step, -step)
        return self.element(x, start, step)

    def relaxed_head(self, x: Structure, scores: Tensor, temperature: float, steps: int) -> Permutation:
        """The head with the mean matrix of a law over all elements as its relaxation.

        The law is a softmax over start nodes and, in D_n, a sigmoid for the direction; ``steps`` has no effect.
        """
        element = self.head(x, scores.detach())
        start = (scores / temperature).masked_fill(~x.mask[:, None], -torch.inf).softmax(-1)
        laws = [(1, start)]
        if self.reversals:
            forwards = (self._rise(x, scores) / temperature).sigmoid()
            laws = [(1, start * forwards), (-1, start * (1 - forwards))]
        # The mean matrix of elements h of the law, times g^-1. Node i is at place j if h starts at i - step j.
        places = torch.arange(x.nodes, device=scores.device)
        length = x.node_counts[:, None, None, None]
        soft = sum(
            law.gather(-1, ((element.images[..., None] - step * places) % length).flatten(2)).view(*law.shape, -1)
            for step, law in laws
        )
        return Permutation(element.images, element.preimages, soft * x.pair_mask[:, None])

    def element(self, x: Structure, start: Tensor, step: Tensor) -> Permutation:
        """The permutations j -> start + step j modulo n, for ``start`` and ``step`` (1 or -1) ``[B, K, 1]``."""
        places = torch.arange(x.nodes, device=start.device)
        images = (start + step * places) % x.node_counts[:, None, None]
        return Permutation.from_images(torch.where(x.mask[:, None], images, places))

    @staticmethod
    def _rise(x: Structure, scores: Tensor) -> Tensor:
        """The score of the next node minus that of the previous one, for each node, ``[B, K, N]``."""
        places = torch.arange(x.nodes, device=scores.device)
        length = x.node_counts[:, None]
        after, before = (((places + side) % length)[:, None].expand_as(scores) for side in (1, -1))
        return scores.gather(-1, after) - scores.gather(-1, before)
