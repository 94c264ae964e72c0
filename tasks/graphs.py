"""Makes structures of graphs."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.errors import DataError
from tasks.symmetry.structure import Structure


def constant_and_degree(adjacency: Tensor) -> Structure:
    """Structures without padding from adjacencies ``[M, N, N]``. Node scalars are 1 and the degree."""
    mask = torch.ones(adjacency.shape[:2], dtype=torch.bool)
    return type_and_degree(mask, torch.ones_like(adjacency[..., 0]), adjacency)


def type_and_degree(mask: Tensor, types: Tensor, adjacency: Tensor) -> Structure:
    """Structures whose node scalars are a type and the degree.

    Args:
        mask: True for nodes that exist, ``[M, N]``.
        types: The type of each node ``[M, N]``, zero for absent nodes.
        adjacency: ``[M, N, N]``, zero for absent nodes.
    """
    scalars = torch.stack([types, adjacency.sum(-1)], -1)
    return Structure.build(mask, node_scalars=scalars, edge_scalars=adjacency[..., None])


def typed_graphs(
    node_offset: Tensor, edge_offset: Tensor, node_type: Tensor, edge_index: Tensor, nodes: int
) -> Structure:
    """Structures from M concatenated graphs. Node scalars are the type and the degree.

    Args:
        node_offset: The index of the first node of each graph, ``[M + 1]``.
        edge_offset: The index of the first edge of each graph, ``[M + 1]``.
        node_type: The type of each node.
        edge_index: Node indices within each graph ``[2, E]``, with both directions of an edge.
        nodes: The number of nodes to pad to.

    Raises:
        DataError: A graph has more than ``nodes`` nodes.
    """
    counts = node_offset.diff()
    if len(counts) and counts.max() > nodes:
        raise DataError(
            f"Graph {int(counts.argmax())} has {int(counts.max())} nodes and the task pads to {nodes}: leave it out."
        )
    mask = torch.arange(nodes) < counts[:, None]
    types = torch.zeros(mask.shape).masked_scatter_(mask, node_type.float())
    graph = torch.repeat_interleave(torch.arange(len(counts)), edge_offset.diff())
    adjacency = torch.zeros(len(counts), nodes, nodes)
    adjacency[graph, edge_index[0], edge_index[1]] = 1
    return type_and_degree(mask, types, adjacency)
