"""From node features to the output that a task asks for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure


def read_out(h: Tensor, x: Structure, output: Representation, head: Callable[[Tensor], Tensor]) -> Tensor:
    """``head`` on node features ``[B, N, W]`` (zero where there is no node), permutation equivariant where it is.

    A graph's features are the sum over its nodes; a pair's are the product of its ends', which a linear head turns
    into the inner product that link prediction is scored by. ``[B, C]``, ``[B, N, C]`` or ``[B, N, N, C]``.
    """
    match output:
        case Representation.GRAPH_SCALARS:
            features = h.sum(1)
        case Representation.NODE_SCALARS:
            features = h
        case Representation.EDGE_SCALARS:
            features = h[:, :, None] * h[:, None]
        case _:
            raise ValueError(f"Node features without geometry cannot be read out as {output.value}.")
    return present(head(features), x, output)


def first_point(x: Structure, output: Representation) -> Tensor | None:
    """The first point of each node ``[B, N, D, 1]``, where the output is points and these are displacements from it."""
    return x.points[..., :1] if output is Representation.NODE_POINTS else None


def present(values: Tensor, x: Structure, output: Representation) -> Tensor:
    """``values`` without those of nodes and pairs that do not exist, which become zero."""
    match output:
        case Representation.NODE_SCALARS:
            return values * x.mask[..., None]
        case Representation.EDGE_SCALARS:
            return values * x.pair_mask[..., None]
        case _:
            return values


def mean_and_max(h: Tensor, x: Structure) -> Tensor:
    """``[B, 2 W]``: the mean of node features ``[B, N, W]`` over the nodes that exist beside their maximum."""
    exists = x.mask[..., None]
    mean = (h * exists).sum(1) / exists.sum(1)
    return torch.cat([mean, h.masked_fill(~exists, -torch.inf).amax(1)], -1)
