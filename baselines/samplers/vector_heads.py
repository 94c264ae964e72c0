"""q for O(d) and S_n x O(d): a vector-neuron block with a rotation head and a permutation head (Kim et al. 2023).

With 2 input vectors and width 64 it has the published 6,897 parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.samplers.vector_neurons import VNBlock, VNFrame, VNLinear, VNMaxPool, edge_features, invariants

DROPOUT = 0.08


class EdgeBlock(nn.Module):
    """Edge features of the nearest neighbours, a VN block, VN max-pooling over neighbours, dropout."""

    def __init__(self, channels: int, out: int, neighbours: int) -> None:
        super().__init__()
        self.block = VNBlock(2 * channels, out)
        self.pool = VNMaxPool(out)
        self.dropout = nn.Dropout(DROPOUT)
        self.neighbours = neighbours

    def forward(self, vectors: Tensor) -> Tensor:
        pooled = self.pool(self.block(edge_features(vectors, self.neighbours)), axis=2)
        # Whole vectors are dropped: dropping coordinates would break equivariance.
        return pooled * self.dropout(torch.ones_like(pooled[..., :1, :]))


class PermutationHead(nn.Module):
    """Invariant scores ``[M, N]``, one for each point, from the features of the first block."""

    def __init__(self, width: int, neighbours: int) -> None:
        super().__init__()
        hidden = width // 3
        self.second = EdgeBlock(hidden, hidden, neighbours)
        self.third = VNBlock(2 * hidden, hidden, shared_direction=True)
        self.frame = VNFrame(2 * hidden)
        self.score = nn.Linear(2 * 3 * 2 * hidden, 1)

    def forward(self, first: Tensor) -> Tensor:
        both = torch.cat([first, self.second(first)], -1)
        third = self.third(both)
        globally = torch.cat([third, third.mean(1, keepdim=True).expand_as(third)], -1)
        frame = self.frame(globally)
        furthest = invariants(globally, frame).amax(1, keepdim=True)
        own = invariants(both, frame)
        return self.score(torch.cat([furthest.expand_as(own), own], -1)).squeeze(-1)


class RotationHead(nn.Module):
    """Equivariant matrices ``[M, D, D]``, whose columns turn with the input, from the features of the first block."""

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        hidden = width // 3
        self.pool = VNMaxPool(hidden)
        self.vectors = VNLinear(hidden, dimension)

    def forward(self, first: Tensor) -> Tensor:
        return self.vectors(self.pool(first, axis=1))
