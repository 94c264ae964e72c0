"""Colour refinement (1-WL; Weisfeiler and Leman 1968): which nodes their neighbourhoods cannot tell apart.

Colours are hashes of what a node sees: they depend on nothing but the structure, not on the order of its nodes, on
padding or on the batch. Numbers are compared bit for bit. Two different views share a hash by a chance of 2^-64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.samplers.hashing import hashed, mixed
from tasks.symmetry.structure import Structure


def refined_colours(x: Structure) -> Tensor:
    """``[B, N]`` int64: the coarsest stable colouring by node scalars and edge scalars (absent nodes mean nothing)."""
    return refined(hashed(x.node_scalars), hashed(x.edge_scalars), x.mask)


def refined(colours: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
    """The coarsest stable colouring that is finer than ``colours`` ``[M, N]``, given hashes of edges ``[M, N, N]``."""
    count = _count(colours, mask)
    while True:
        finer = seen(colours, edges, mask)
        finer_count = _count(finer, mask)
        grown = finer_count > count
        if not grown.any():
            return colours
        # A structure keeps its colours once they are stable, whatever the rest of the batch still needs.
        colours, count = torch.where(grown[:, None], finer, colours), finer_count


def seen(colours: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
    """A hash of each node's own colour and of the multiset of its edges with the colours these lead to."""
    return mixed(colours + (mixed(edges + colours[:, None]) * mask[:, None]).sum(2))


def within(colours: Tensor, mask: Tensor) -> Tensor:
    """``[B, N]`` int64: how many colours of the same structure are lower."""
    same = colours[:, :, None] == colours[:, None]
    first = mask & ~(same.tril(-1) & mask[:, None]).any(-1)  # of each colour the first node that exists
    return ((colours[:, None] < colours[:, :, None]) & first[:, None]).sum(-1)


def _count(colours: Tensor, mask: Tensor) -> Tensor:
    """``[M]``: how many different colours there are, absent nodes together counting as one more."""
    return (colours.masked_fill(~mask, 0).sort(-1).values.diff(dim=-1) != 0).sum(-1)
