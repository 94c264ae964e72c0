"""Maps node features to the output of a task."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure


def read_out(h: Tensor, x: Structure, output: Representation, head: Callable[[Tensor], Tensor]) -> Tensor:
    """Applies a head to the features of graphs, nodes or pairs of nodes.

    Features of a graph are the sum over its nodes. Features of a pair are the product of those of its nodes, from which
    a linear head makes an inner product, as in link prediction.

    Args:
        h: Node features ``[B, N, W]``, zero for absent nodes.
        x: The structures that ``h`` was computed from.
        output: Graph, node or edge scalars.
        head: Maps ``[..., W]`` to ``[..., C]``. The result is permutation equivariant if ``h`` is.

    Returns:
        ``[B, C]``, ``[B, N, C]`` or ``[B, N, N, C]``, zero for absent nodes and pairs.

    Raises:
        ValueError: The output is points or vectors.
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
    """The first point of each node ``[B, N, D, 1]``, the origin of displacements; None if the output is no points."""
    return x.points[..., :1] if output is Representation.NODE_POINTS else None


def present(values: Tensor, x: Structure, output: Representation) -> Tensor:
    """Sets the values of absent nodes and pairs to zero."""
    match output:
        case Representation.NODE_SCALARS:
            return values * x.mask[..., None]
        case Representation.EDGE_SCALARS:
            return values * x.pair_mask[..., None]
        case _:
            return values


def mean_and_max(h: Tensor, x: Structure) -> Tensor:
    """The mean and the maximum of node features ``h`` ``[B, N, W]`` over the nodes that exist, ``[B, 2 W]``."""
    exists = x.mask[..., None]
    mean = (h * exists).sum(1) / exists.sum(1)
    return torch.cat([mean, h.masked_fill(~exists, -torch.inf).amax(1)], -1)
