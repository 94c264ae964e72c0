"""q for O(d) and S_n x O(d): a vector-neuron block with a rotation head and a permutation head (Kim et al. 2023).

With 2 input vectors and width 64 it has the published 6,897 parameters. ``mask`` is ``[M, N]``: the points that exist,
or ``None`` where all do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.samplers.vector_neurons import (
    Mask,
    VNBlock,
    VNFrame,
    VNLinear,
    VNMaxPool,
    edge_features,
    invariants,
    on_existing,
)

DROPOUT = 0.08


class EdgeBlock(nn.Module):
    """Edge features of the nearest neighbours, a VN block, VN max-pooling over neighbours, dropout."""

    def __init__(self, channels: int, out: int, neighbours: int) -> None:
        super().__init__()
        self.block = VNBlock(2 * channels, out)
        self.pool = VNMaxPool(out)
        self.dropout = nn.Dropout(DROPOUT)
        self.neighbours = neighbours

    def forward(self, vectors: Tensor, mask: Mask = None) -> Tensor:
        edges, edge_mask = edge_features(vectors, self.neighbours, mask)
        pooled = self.pool(self.block(edges, edge_mask), axis=2, mask=edge_mask)
        # Whole vectors are dropped: dropping coordinates would break equivariance.
        return pooled * on_existing(self.dropout, torch.ones_like(pooled[..., 0, :]), mask)[..., None, :]


class PermutationHead(nn.Module):
    """Invariant scores ``[M, N]``, one for each point, from the features of the first block."""

    def __init__(self, width: int, neighbours: int) -> None:
        super().__init__()
        hidden = width // 3
        self.second = EdgeBlock(hidden, hidden, neighbours)
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
    """Equivariant matrices ``[M, D, D]``, whose columns turn with the input, from the features of the first block."""

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        hidden = width // 3
        self.pool = VNMaxPool(hidden)
        self.vectors = VNLinear(hidden, dimension)

    def forward(self, first: Tensor, mask: Mask = None) -> Tensor:
        return self.vectors(self.pool(first, axis=1, mask=mask))


def mean_over_points(values: Tensor, mask: Mask) -> Tensor:
    """``[M, 1, ...]`` from ``[M, N, ...]``."""
    if mask is None:
        return values.mean(1, keepdim=True)
    keep = mask[..., None, None].to(values.dtype)
    return (values * keep).sum(1, keepdim=True) / keep.sum(1, keepdim=True)


def max_over_points(values: Tensor, mask: Mask) -> Tensor:
    """``[M, 1, C]`` from ``[M, N, C]``."""
    existing = values if mask is None else values.masked_fill(~mask[..., None], -torch.inf)
    return existing.amax(1, keepdim=True)
