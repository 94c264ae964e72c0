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
        start = scores.masked_fill(~x.mask[:, None], -torch.inf).argmax(-1, keepdim=True)
        step = torch.ones_like(start)
        if self.reversals:
            step = torch.where(self._rise(x, scores).gather(-1, start) >= 0, step, -step)
        return self.element(x, start, step)

    def relaxed_head(self, x: Structure, scores: Tensor, temperature: float, steps: int) -> Permutation:
        """Behind it, the law over all elements that softmaxes make of what the head compares."""
        element = self.head(x, scores.detach())
        start = (scores / temperature).masked_fill(~x.mask[:, None], -torch.inf).softmax(-1)
        laws = [(1, start)]
        if self.reversals:
            forwards = (self._rise(x, scores) / temperature).sigmoid()
            laws = [(1, start * forwards), (-1, start * (1 - forwards))]
        # The mean of the matrices of h: node i stands at place j where h starts at i - step j. Then g^-1 times it.
        places = torch.arange(x.nodes, device=scores.device)
        length = x.node_counts[:, None, None, None]
        soft = sum(
            law.gather(-1, ((element.images[..., None] - step * places) % length).flatten(2)).view(*law.shape, -1)
            for step, law in laws
        )
        return Permutation(element.images, element.preimages, soft * x.pair_mask[:, None])

    def element(self, x: Structure, start: Tensor, step: Tensor) -> Permutation:
        """``j -> start + step j`` for ``start`` and ``step`` (1, or -1) ``[B, K, 1]``."""
        places = torch.arange(x.nodes, device=start.device)
        images = (start + step * places) % x.node_counts[:, None, None]
        return Permutation.from_images(torch.where(x.mask[:, None], images, places))

    @staticmethod
    def _rise(x: Structure, scores: Tensor) -> Tensor:
        """``[B, K, N]``: the score of the node after each, less that of the node before it."""
        places = torch.arange(x.nodes, device=scores.device)
        length = x.node_counts[:, None]
        after, before = (((places + side) % length)[:, None].expand_as(scores) for side in (1, -1))
        return scores.gather(-1, after) - scores.gather(-1, before)
