"""q for O(d) and S_n x O(d): a vector-neuron block with a rotation head and a permutation head (Kim et al. 2023).

With 2 input vectors and width 64 it has the published 6,897 parameters. ``mask`` ``[M, N]`` is True for points that
exist; None if all exist.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.layers.vector_neurons import (
    EdgeBlock,
    Mask,
    VNBlock,
    VNFrame,
    VNLinear,
    VNMaxPool,
    invariants,
    max_over_points,
    mean_over_points,
)


class PermutationHead(nn.Module):
    """Invariant scores ``[M, N]`` of points, from the features ``[M, N, D, C]`` of the first block."""

    def __init__(self, width: int, neighbours: int, dropout: float, drops_coordinates: bool) -> None:
        super().__init__()
        hidden = width // 3
        self.second = EdgeBlock(hidden, hidden, neighbours, dropout, drops_coordinates)
        self.third = VNBlock(2 * hidden, hidden, shared_direction=True)
        self.frame = VNFrame(2 * hidden)
        self.score = nn.Linear(2 * 3 * 2 * hidden, 1)

    def forward(self, first: Tensor, mask: Mask = None) -> Tensor:
        both = torch.cat([first, self.second(first, mask)], -1)
        third = self.third(both, mask)
        globally = torch.cat([third, mean_over_points(third, mask).expand_as(third)], -1)
        frame = self.frame(globally, mask)
        furthest = max_over_points(invariants(globally, frame), mask)
        own = invariants(both, frame)
        return self.score(torch.cat([furthest.expand_as(own), own], -1)).squeeze(-1)


class RotationHead(nn.Module):
    """Matrices ``[M, D, D]`` with equivariant columns, from the features ``[M, N, D, C]`` of the first block."""

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        hidden = width // 3
        self.pool = VNMaxPool(hidden)
        self.vectors = VNLinear(hidden, dimension)

    def forward(self, first: Tensor, mask: Mask = None) -> Tensor:
        return self.vectors(self.pool(first, axis=1, mask=mask))
