"""The graphs of a batch as one sparse graph, for sparse layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.symmetry.gathering import Grouping, exchanged
from tasks.symmetry.structure import Structure


@dataclass(frozen=True)
class EdgeLists:
    """The R existing nodes and E edges of a batch. Their numbers depend on the data, so the host waits for the device.

    Attributes:
        mask: True for nodes that exist, ``[B, N]``.
        place: The index of each existing node among all ``B * N``, ``[R]``.
        row: The inverse of ``place``, ``[B * N]``, R for absent nodes.
        source: The node j of the edge for each entry (i, j), among the R existing nodes.
        target: The node i of the edge, to which messages are sent.
        edge_scalars: ``[E, C]``.
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
        """Sources and targets ``[2, E]``, in the convention of PyG."""
        return torch.stack([self.source.row, self.target.row])

    def rows(self, values: Tensor) -> Tensor:
        """The values ``[R, C]`` of existing nodes, for ``values`` ``[B, N, C]``."""
        return exchanged(values.flatten(0, 1), self.place, self.row)

    def padded(self, rows: Tensor) -> Tensor:
        """The padded values ``[B, N, C]`` of ``rows`` ``[R, C]``, zero for absent nodes."""
        return exchanged(rows, self.row, self.place).unflatten(0, self.mask.shape)


def joined(x: Structure) -> Tensor:
    """Whether two nodes have an edge with any scalar that is not zero, ``[B, N, N]``."""
    return (x.edge_scalars != 0).any(-1)
