"""Vector neurons (Deng et al. 2021): layers on lists of vectors that commute with rotations and reflections.

Tensors are ``[..., D, C]``, with C channels of D-dimensional vectors. A map between channels is a matrix product on the
last axis. PyG and e3nn have no such layers.

``mask`` ``[...]`` is True for lists of vectors that exist; None if all exist. Outputs for absent lists are finite but
arbitrary.
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
    """Applies ``function`` to the existing rows of ``[..., C]``, or to all if the shape must not depend on data."""
    if mask is None or not may_follow_data(rows):
        return function(rows.flatten(0, -2)).view_as(rows)
    return rows.new_zeros(rows.shape).index_put((mask,), function(rows[mask]))


class VNLinear(nn.Linear):
    """A linear map of channels, ``[..., D, C]`` to ``[..., D, C']``, without a bias, which would not be equivariant."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, bias=False)


class VNBatchNorm(nn.Module):
    """Batch normalisation of the norms of vectors, with statistics over all axes except channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)

    def forward(self, vectors: Tensor, mask: Mask = None) -> Tensor:
        squared = (vectors * vectors).sum(-2)  # linalg.norm is slow across an inner axis
        norms = squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt() + EPSILON  # with a gradient of 0 at 0
        return vectors * (self.norm(norms, mask) / norms)[..., None, :]


class VNBlock(nn.Module):
    """A linear map, batch norm and leaky ReLU along learned directions, one for each channel or one for all."""

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
    """Max-pooling: in each channel, the vector with the largest projection on a learned direction; averages ties."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.directions = VNLinear(channels, channels)

    def forward(self, vectors: Tensor, axis: int, mask: Mask = None) -> Tensor:
        with torch.no_grad():  # the choice of the vector has no gradient
            along = (vectors * self.directions(vectors)).sum(-2, keepdim=True)
            if mask is not None:
                along = along.masked_fill(~mask[..., None, None], -torch.inf)
            furthest = (along == along.amax(axis, keepdim=True)).to(vectors.dtype)
            share = furthest / furthest.sum(axis, keepdim=True)
        return (vectors * share).sum(axis)


class VNFrame(nn.Module):
    """Three vectors ``[..., D, 3]`` computed from features ``[..., D, C]``, a frame for inner products."""

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
    """The inner products of vectors ``[..., D, C]`` with those of a frame ``[..., D, 3]``, ``[..., 3 C]``."""
    return (vectors.mT @ frame).flatten(-2)


def nearest_points(vectors: Tensor, neighbours: int, mask: Mask = None) -> tuple[Tensor, Mask]:
    """The nearest points of each point, including itself, by the distance of flattened vectors.

    Args:
        vectors: Points ``[M, N, D, C]``.
        neighbours: k, the number of neighbours; at most N are returned.
        mask: True for points that exist, ``[M, N]``; None if all exist.

    Returns:
        Indices ``[M, N, k]``, and a mask ``[M, N, k]`` of neighbours that exist, or None if all exist.
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
    """The edge features (neighbour - self, self) of dynamic graph convolutions (Wang et al. 2019).

    Args:
        vectors: ``[M, N, D, C]``.
        nearest: Indices of neighbours, ``[M, N, k]``.

    Returns:
        ``[M, N, k, D, 2 C]``.
    """
    gathered = taken(vectors.flatten(2), nearest.flatten(1)).view(*nearest.shape, *vectors.shape[2:])
    itself = vectors[:, :, None].expand_as(gathered)
    return torch.cat([gathered - itself, itself], -1)


class EdgeBlock(nn.Module):
    """Edge features of the nearest neighbours, a VN block, VN max-pooling over neighbours and dropout.

    Dropout drops whole vectors or, with ``drops_coordinates``, single coordinates, which breaks equivariance in
    training.
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
    """The mean ``[M, 1, ...]`` of ``[M, N, ...]`` over existing points."""
    if mask is None:
        return values.mean(1, keepdim=True)
    keep = mask[..., None, None].to(values.dtype)
    return (values * keep).sum(1, keepdim=True) / keep.sum(1, keepdim=True)


def max_over_points(values: Tensor, mask: Mask) -> Tensor:
    """The maximum ``[M, 1, C]`` of ``[M, N, C]`` over existing points."""
    existing = values if mask is None else values.masked_fill(~mask[..., None], -torch.inf)
    return existing.amax(1, keepdim=True)
