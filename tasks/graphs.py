"""Plain graphs as structures."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.sources.cache import DataError
from tasks.symmetry.structure import Structure


def constant_and_degree(adjacency: Tensor) -> Structure:
    """Graphs ``[M, N, N]`` without padding; node scalars are 1 and the degree."""
    mask = torch.ones(adjacency.shape[:2], dtype=torch.bool)
    return type_and_degree(mask, torch.ones_like(adjacency[..., 0]), adjacency)


def type_and_degree(mask: Tensor, types: Tensor, adjacency: Tensor) -> Structure:
    """Graphs ``[M, N, N]`` whose node scalars are a type ``[M, N]`` and the degree; zero where there is no node."""
    scalars = torch.stack([types, adjacency.sum(-1)], -1)
    return Structure.build(mask, node_scalars=scalars, edge_scalars=adjacency[..., None])


def typed_graphs(
    node_offset: Tensor, edge_offset: Tensor, node_type: Tensor, edge_index: Tensor, nodes: int
) -> Structure:
    """Graphs stored end to end, padded to ``nodes``; node scalars are the type and the degree.

    ``node_offset`` and ``edge_offset`` ``[M + 1]`` say where each graph's nodes and edges begin; ``edge_index``
    ``[2, E]`` (directed, both ways) counts nodes within each graph.

    Raises :class:`tasks.sources.cache.DataError` for a graph above ``nodes`` nodes.
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
