"""Vector neurons as a network (Deng et al. 2021): dynamic graph convolutions of lists of vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.bases.mlp import perceptron
from baselines.catalogue.equivariant import VectorNeuronsSettings
from baselines.layers.vector_neurons import (
    Mask,
    VNBlock,
    VNFrame,
    VNLinear,
    edge_features,
    invariants,
    mean_over_points,
    nearest_points,
)
from baselines.readout import mean_and_max
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


class VNEdgeConvolution(nn.Module):
    """The mean over the nearest points of a VN block on edge features, scaled by a function of the edge's scalars."""

    def __init__(self, channels: int, out: int, neighbours: int, edge_scalars: int) -> None:
        super().__init__()
        self.block = VNBlock(2 * channels, out)
        self.scale = perceptron([edge_scalars, out, out], "silu") if edge_scalars else None
        self.neighbours = neighbours

    def forward(self, vectors: Tensor, x: Structure, mask: Mask) -> Tensor:
        """Maps vectors ``[B, N, D, C]`` to ``[B, N, D, C']``."""
        nearest, exist = nearest_points(vectors, self.neighbours, mask)
        messages = self.block(edge_features(vectors, nearest), exist)
        if self.scale is not None:
            scalars = x.edge_scalars.take_along_dim(nearest[..., None], 2)
            messages = messages * self.scale(scalars)[..., None, :]
        if exist is None:
            return messages.mean(2)
        keep = exist[..., None, None].to(messages.dtype)
        return (messages * keep).sum(2) / keep.sum(2).clamp_min(1)


class VectorNeurons(nn.Module):
    """Edge convolutions on points about their centroid and vectors, with the outputs of all layers concatenated.

    Predicts graph scalars ``[B, C]`` from the mean and the maximum of invariants, which are inner products of features
    with a frame computed from them, or points ``[B, N, D, 1]`` as displacements of the first input point.
    """

    def __init__(self, signature: Signature, settings: VectorNeuronsSettings) -> None:
        super().__init__()
        channels, layers = settings.width // 3, settings.layers
        self.output = signature.output
        self.padded = signature.padded
        self.convolutions = nn.ModuleList(
            VNEdgeConvolution(inputs, channels, settings.neighbours, signature.edge_scalars)
            for inputs in (signature.geometry, *[channels] * (layers - 1))
        )
        self.mix = VNBlock(layers * channels, channels, shared_direction=True)
        if self.output is Representation.NODE_POINTS:
            self.displacement = VNLinear(2 * channels, 1)
        else:
            self.frame = VNFrame(2 * channels)
            self.head = perceptron([2 * 3 * 2 * channels, settings.width, signature.output_channels], "silu")

    def forward(self, x: Structure) -> Tensor:
        mask = x.mask if self.padded else None
        vectors, outputs = x.geometry, []
        for convolution in self.convolutions:
            vectors = convolution(vectors, x, mask)
            outputs.append(vectors)
        mixed = self.mix(torch.cat(outputs, -1), mask)
        features = torch.cat([mixed, mean_over_points(mixed, mask).expand_as(mixed)], -1)
        if self.output is Representation.NODE_POINTS:
            return x.points[..., :1] + self.displacement(features)
        return self.head(mean_and_max(invariants(features, self.frame(features, mask)), x))
