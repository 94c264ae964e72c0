"""Vector neurons (Deng et al. 2021): networks on lists of vectors that commute with rotations and reflections.

Tensors are ``[..., D, C]`` with channels C of D-dimensional vectors, so that a map between channels is a plain matrix
product on the last axis. PyG and e3nn have no such layers.

``mask`` ``[...]`` says which lists of vectors exist, ``None`` that all do. What comes out where none exists is finite
and means nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from baselines.layers.batch_norm import BatchNorm, Mask
from tasks.symmetry.dynamic_shapes import may_follow_data
from tasks.symmetry.gathering import taken

EPSILON = 1e-6


def on_existing(function: Callable[[Tensor], Tensor], rows: Tensor, mask: Mask) -> Tensor:
    """``function`` of each row of ``rows`` ``[..., C]`` that exists; the others are left out where that is possible."""
    if mask is None or not may_follow_data(rows):
        return function(rows.flatten(0, -2)).view_as(rows)
    return rows.new_zeros(rows.shape).index_put((mask,), function(rows[mask]))


class VNLinear(nn.Linear):
    """A linear map between channels: ``[..., D, C]`` to ``[..., D, C']``. A bias would not turn with the input."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, bias=False)


class VNBatchNorm(nn.Module):
    """Batch normalisation of vector norms; directions stay. Statistics over all axes but the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)

    def forward(self, vectors: Tensor, mask: Mask = None) -> Tensor:
        squared = (vectors * vectors).sum(-2)  # linalg.norm is slow across an inner axis
        norms = squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt() + EPSILON  # with a gradient of 0 at 0
        return vectors * (self.norm(norms, mask) / norms)[..., None, :]


class VNBlock(nn.Module):
    """Linear, norm-BatchNorm and leaky ReLU along learned directions, one for each channel or one shared."""

    def __init__(self, channels: int, out: int, shared_direction: bool = False, slope: float = 0.2) -> None:
        super().__init__()
        self.features = VNLinear(channels, out)
        self.norm = VNBatchNorm(out)
        self.directions = VNLinear(channels, 1 if shared_direction else out)
        self.slope = slope

    def forward(self, vectors: Tensor, mask: Mask = None) -> Tensor:
        features = self.norm(self.features(vectors), mask)
        directions = self.directions(vectors)
        along = (features * directions).sum(-2, keepdim=True)
        squared = (directions * directions).sum(-2, keepdim=True) + EPSILON
        # The part of a feature that points against its direction is scaled down to ``slope``.
        return features - (1 - self.slope) * (along.clamp_max(0) / squared) * directions


class VNMaxPool(nn.Module):
    """For each channel, of the vectors along an axis the one furthest along its direction, or the mean of those."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.directions = VNLinear(channels, channels)

    def forward(self, vectors: Tensor, axis: int, mask: Mask = None) -> Tensor:
        with torch.no_grad():  # which one is furthest has no gradient
            along = (vectors * self.directions(vectors)).sum(-2, keepdim=True)
            if mask is not None:
                along = along.masked_fill(~mask[..., None, None], -torch.inf)
            furthest = (along == along.amax(axis, keepdim=True)).to(vectors.dtype)
            share = furthest / furthest.sum(axis, keepdim=True)
        return (vectors * share).sum(axis)


class VNFrame(nn.Module):
    """Three vectors ``[..., D, 3]`` built from features ``[..., D, C]``: a frame to take inner products with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.frame = nn.Sequential(
            VNBlock(channels, channels // 2),
            VNBlock(channels // 2, channels // 4),
            VNLinear(channels // 4, 3),
        )

    def forward(self, vectors: Tensor, mask: Mask = None) -> Tensor:
        first, second, linear = self.frame
        return linear(second(first(vectors, mask), mask))


def invariants(vectors: Tensor, frame: Tensor) -> Tensor:
    """``[..., 3 C]``: inner products of every vector with every vector of the frame."""
    return (vectors.mT @ frame).flatten(-2)


def nearest_points(vectors: Tensor, neighbours: int, mask: Mask = None) -> tuple[Tensor, Mask]:
    """The places ``[M, N, k]`` of the k nearest points of ``[M, N, D, C]`` by flattened vectors, self among them.

    Beside them the mask ``[M, N, k]`` of neighbours that exist: a point has fewer than k where there are fewer points.
    """
    flat = vectors.flatten(2)
    distances = torch.cdist(flat, flat)
    if mask is not None:
        distances = distances.masked_fill(~mask[:, None], torch.inf)
    nearest = distances.topk(min(neighbours, vectors.shape[1]), largest=False).indices
    if mask is None:
        return nearest, None
    return nearest, mask[:, :, None] & mask.gather(1, nearest.flatten(1)).view(nearest.shape)


def edge_features(vectors: Tensor, nearest: Tensor) -> Tensor:
    """``[M, N, k, D, 2 C]``: (neighbour - self, self) for the places ``nearest`` ``[M, N, k]``.

    Dynamic graph convolution's edge features (Wang et al. 2019) of vectors ``[M, N, D, C]``.
    """
    gathered = taken(vectors.flatten(2), nearest.flatten(1)).view(*nearest.shape, *vectors.shape[2:])
    itself = vectors[:, :, None].expand_as(gathered)
    return torch.cat([gathered - itself, itself], -1)


class EdgeBlock(nn.Module):
    """Edge features of the nearest neighbours, a VN block, VN max-pooling over neighbours, dropout.

    Dropout takes whole vectors or, with ``drops_coordinates``, each coordinate by itself, which breaks equivariance
    in training.
    """

    def __init__(
        self, channels: int, out: int, neighbours: int, dropout: float, drops_coordinates: bool = False
    ) -> None:
        super().__init__()
        self.block = VNBlock(2 * channels, out)
        self.pool = VNMaxPool(out)
        self.dropout = nn.Dropout(dropout)
        self.neighbours = neighbours
        self.drops_coordinates = drops_coordinates

    def forward(self, vectors: Tensor, mask: Mask = None) -> Tensor:
        nearest, edge_mask = nearest_points(vectors, self.neighbours, mask)
        pooled = self.pool(self.block(edge_features(vectors, nearest), edge_mask), axis=2, mask=edge_mask)
        kept = torch.ones_like(pooled if self.drops_coordinates else pooled[..., :1, :])
        return pooled * on_existing(self.dropout, kept, mask)


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
