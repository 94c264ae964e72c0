"""Colour refinement (1-WL; Weisfeiler and Leman 1968): nodes have one colour if their neighbourhoods are alike.

Colours are hashes of a node's neighbourhood. They depend only on the structure and not on the order of its nodes, the
padding or the batch. Numbers are compared bit for bit. Two different neighbourhoods have the same hash with
probability 2^-64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.samplers.hashing import hashed, mixed
from tasks.symmetry.structure import Structure


def refined_colours(x: Structure) -> Tensor:
    """The coarsest stable colouring by node scalars and edge scalars.

    Returns:
        Colours, int64 ``[B, N]``, arbitrary for absent nodes.
    """
    return refined(hashed(x.node_scalars), hashed(x.edge_scalars), x.mask)


def refined(colours: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
    """The coarsest stable colouring that refines another one.

    Args:
        colours: The colouring to refine, int64 ``[M, N]``.
        edges: Hashes of edges, int64 ``[M, N, N]``.
        mask: True for nodes that exist, ``[M, N]``.
    """
    count = _count(colours, mask)
    while True:
        finer = seen(colours, edges, mask)
        finer_count = _count(finer, mask)
        grown = finer_count > count
        if not grown.any():
            return colours
        # A structure keeps its colours once they are stable, so that they do not depend on the rest of the batch.
        colours, count = torch.where(grown[:, None], finer, colours), finer_count


def seen(colours: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
    """Hashes ``[M, N]`` of each node's colour and of the multiset of its edges with the colours of their other ends."""
    return mixed(colours + (mixed(edges + colours[:, None]) * mask[:, None]).sum(2))


def within(colours: Tensor, mask: Tensor) -> Tensor:
    """The number of lower colours in the same structure, int64 ``[B, N]``."""
    same = colours[:, :, None] == colours[:, None]
    first = mask & ~(same.tril(-1) & mask[:, None]).any(-1)  # the first node of each colour
    return ((colours[:, None] < colours[:, :, None]) & first[:, None]).sum(-1)


def _count(colours: Tensor, mask: Tensor) -> Tensor:
    """The number of different colours ``[M]``, where absent nodes together count as one more."""
    return (colours.masked_fill(~mask, 0).sort(-1).values.diff(dim=-1) != 0).sum(-1)
