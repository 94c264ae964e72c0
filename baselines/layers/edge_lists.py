"""The graphs of a structure side by side as one sparse graph, as PyG's sparse layers read it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.symmetry.structure import Structure


@dataclass(frozen=True)
class EdgeLists:
    """The R nodes and E edges that exist; as many as there are, so that building this waits for the device.

    ``graph`` and ``node`` ``[R]`` say where each node stands in the structure, graph by graph; ``edge_index``
    ``[2, E]`` holds sources, then targets, as places in ``[0, R)``; ``edge_scalars`` are ``[E, C]``. What node i hears
    of j is the entry (i, j) of the structure's edges, as in its adjacency times node features.
    """

    shape: torch.Size
    graph: Tensor
    node: Tensor
    edge_index: Tensor
    edge_scalars: Tensor

    @staticmethod
    def of(x: Structure) -> EdgeLists:
        graph, node = x.mask.nonzero(as_tuple=True)
        place = torch.zeros_like(x.mask, dtype=torch.long)
        place[graph, node] = torch.arange(len(graph), device=graph.device)
        owner, target, source = joined(x).nonzero(as_tuple=True)
        edge_index = torch.stack([place[owner, source], place[owner, target]])
        return EdgeLists(x.mask.shape, graph, node, edge_index, x.edge_scalars[owner, target, source])

    def rows(self, values: Tensor) -> Tensor:
        """``[R, C]`` from ``[B, N, C]``."""
        return values[self.graph, self.node]

    def padded(self, rows: Tensor) -> Tensor:
        """``[B, N, C]`` from ``[R, C]``, zero where there is no node."""
        padded = rows.new_zeros(*self.shape, rows.shape[-1])
        return padded.index_put((self.graph, self.node), rows)


def joined(x: Structure) -> Tensor:
    """``[B, N, N]``, bool: which nodes have an edge, whatever its scalars."""
    return (x.edge_scalars != 0).any(-1)
