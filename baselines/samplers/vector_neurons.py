"""Vector neurons (Deng et al. 2021): networks on lists of vectors that commute with rotations and reflections.

Tensors are ``[..., D, C]`` with channels C of D-dimensional vectors, so that a map between channels is a plain matrix
product on the last axis. PyG and e3nn have no such layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-6


class VNLinear(nn.Linear):
    """A linear map between channels: ``[..., D, C]`` to ``[..., D, C']``. A bias would not turn with the input."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, bias=False)


class VNBatchNorm(nn.Module):
    """Batch normalisation of vector norms; directions stay. Statistics over all axes but the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, vectors: Tensor) -> Tensor:
        norms = ((vectors * vectors).sum(-2) + EPSILON**2).sqrt()  # linalg.norm is slow across an inner axis
        normalised = self.norm(norms.flatten(0, -2)).view_as(norms)
        return vectors * (normalised / norms)[..., None, :]


class VNBlock(nn.Module):
    """Linear, norm-BatchNorm and leaky ReLU along learned directions, one for each channel or one shared."""

    def __init__(self, channels: int, out: int, shared_direction: bool = False, slope: float = 0.2) -> None:
        super().__init__()
        self.features = VNLinear(channels, out)
        self.norm = VNBatchNorm(out)
        self.directions = VNLinear(channels, 1 if shared_direction else out)
        self.slope = slope

    def forward(self, vectors: Tensor) -> Tensor:
        features = self.norm(self.features(vectors))
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

    def forward(self, vectors: Tensor, axis: int) -> Tensor:
        with torch.no_grad():  # which one is furthest has no gradient
            along = (vectors * self.directions(vectors)).sum(-2, keepdim=True)
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

    def forward(self, vectors: Tensor) -> Tensor:
        return self.frame(vectors)


def invariants(vectors: Tensor, frame: Tensor) -> Tensor:
    """``[..., 3 C]``: inner products of every vector with every vector of the frame."""
    return (frame.mT @ vectors).flatten(-2)


def edge_features(vectors: Tensor, neighbours: int) -> Tensor:
    """``[M, N, k, D, 2 C]``: (neighbour - self, self) for the k nearest points by flattened vectors, self among them.

    Dynamic graph convolution's edge features (Wang et al. 2019) of vectors ``[M, N, D, C]``.
    """
    flat = vectors.flatten(2)
    nearest = torch.cdist(flat, flat).topk(min(neighbours, vectors.shape[1]), largest=False).indices
    places = nearest.flatten(1)[..., None].expand(-1, -1, flat.shape[-1])
    gathered = flat.gather(1, places).view(*nearest.shape, *vectors.shape[2:])
    itself = vectors[:, :, None].expand_as(gathered)
    return torch.cat([gathered - itself, itself], -1)
