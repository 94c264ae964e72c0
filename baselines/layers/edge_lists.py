"""The graphs of a structure side by side as one sparse graph, as sparse layers read it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.symmetry.gathering import Grouping, exchanged
from tasks.symmetry.structure import Structure


@dataclass(frozen=True)
class EdgeLists:
    """The R nodes and E edges that exist; as many as there are, so that building this waits for the device.

    ``place`` ``[R]`` says where each node stands among the ``B * N`` of the structure, graph by graph, and ``row``
    ``[B * N]`` which one stands there, R where none does. Each edge has a ``source`` and a ``target`` among the R, and
    ``edge_scalars`` are ``[E, C]``. What node i hears of j is the entry (i, j) of the structure's edges, as in its
    adjacency times node features.
    """

    mask: Tensor
    place: Tensor
    row: Tensor
    source: Grouping
    target: Grouping
    edge_scalars: Tensor

    @staticmethod
    def of(x: Structure) -> EdgeLists:
        """The edges of a padded batch."""
        exists = x.mask.flatten()
        place = exists.nonzero().squeeze(-1)
        count = len(place)
        row = torch.where(exists, exists.cumsum(0) - 1, count)
        pair = joined(x).flatten().nonzero().squeeze(-1)
        owner, target, source = pair // x.nodes**2, pair // x.nodes % x.nodes, pair % x.nodes
        return EdgeLists(
            x.mask,
            place,
            row,
            Grouping.of(row[owner * x.nodes + source], count),
            Grouping.of(row[owner * x.nodes + target], count),
            x.edge_scalars.flatten(0, 2).index_select(0, pair),
        )

    @property
    def edge_index(self) -> Tensor:
        """``[2, E]``: sources, then targets, as PyG's layers read them."""
        return torch.stack([self.source.row, self.target.row])

    def rows(self, values: Tensor) -> Tensor:
        """``[R, C]`` from ``[B, N, C]``."""
        return exchanged(values.flatten(0, 1), self.place, self.row)

    def padded(self, rows: Tensor) -> Tensor:
        """``[B, N, C]`` from ``[R, C]``, zero where there is no node."""
        return exchanged(rows, self.row, self.place).unflatten(0, self.mask.shape)


def joined(x: Structure) -> Tensor:
    """``[B, N, N]``, bool: which nodes have an edge, whatever its scalars."""
    return (x.edge_scalars != 0).any(-1)
