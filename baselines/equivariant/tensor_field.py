"""Tensor field networks (Thomas et al. 2018) on e3nn: features are irreducible representations of O(3) or SO(3)."""

from __future__ import annotations

import torch
from e3nn import o3
from e3nn.math import soft_one_hot_linspace
from e3nn.nn import Gate
from torch import Tensor, nn
from torch.nn.functional import silu

from baselines.bases.mlp import perceptron
from baselines.catalogue.equivariant import TensorFieldSettings
from baselines.layers.vector_neurons import nearest_points
from baselines.readout import mean_and_max
from tasks.symmetry.gathering import taken
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


def channelwise_product(features: o3.Irreps, harmonics: o3.Irreps) -> o3.TensorProduct:
    """The products of every channel of ``features`` with every spherical harmonic.

    There is a weight for each channel and path. Outputs of different paths are concatenated; only irreps of
    ``harmonics`` are kept.
    """
    paths = [
        (first, second, irrep)
        for first, (_, of_features) in enumerate(features)
        for second, (_, of_harmonics) in enumerate(harmonics)
        for irrep in of_features * of_harmonics
        if irrep in harmonics
    ]
    out = o3.Irreps([(features[first].mul, irrep) for first, _, irrep in paths])
    instructions = [(first, second, place, "uvu", True) for place, (first, second, _) in enumerate(paths)]
    return o3.TensorProduct(features, harmonics, out, instructions, shared_weights=False, internal_weights=False)


class TensorFieldLayer(nn.Module):
    """Sums messages f_j times Y(x_j - x_i), weighted by a function of the edge, adds a map of f_i and applies gates."""

    def __init__(self, features: o3.Irreps, harmonics: o3.Irreps, width: int, edge_channels: int) -> None:
        super().__init__()
        self.product = channelwise_product(features, harmonics)
        self.radial = perceptron([edge_channels, 2 * width, self.product.weight_numel], "silu")
        vectors = o3.Irreps([(width, irrep) for _, irrep in harmonics[1:]])
        gates = o3.Irreps([(vectors.num_irreps, (0, 1))])
        self.gate = Gate(o3.Irreps([(width, (0, 1))]), [silu], gates, [torch.sigmoid], vectors)
        self.message = o3.Linear(self.product.irreps_out, self.gate.irreps_in)
        self.own = o3.Linear(features, self.gate.irreps_in)
        self.residual = features == self.gate.irreps_out

    def forward(self, features: Tensor, neighbours: Neighbours) -> Tensor:
        messages = self.product(neighbours.of(features), neighbours.harmonics, self.radial(neighbours.scalars))
        total = (messages * neighbours.exist).sum(2) / neighbours.exist.sum(2).clamp_min(1).sqrt()
        updated = self.gate(self.own(features) + self.message(total))
        return features + updated if self.residual else updated


class Neighbours:
    """The nearest other nodes of each node.

    Attributes:
        places: Their indices, ``[B, N, K]``.
        exist: One for other nodes that exist, otherwise zero, ``[B, N, K, 1]``.
        harmonics: Spherical harmonics of relative positions, ``[B, N, K, (degree + 1)^2]``.
        scalars: Radial basis functions, distances and edge scalars, ``[B, N, K, C]``.
    """

    def __init__(self, x: Structure, count: int, harmonics: o3.Irreps, radii: int, reach: float, padded: bool) -> None:
        self.places, exist = nearest_points(x.points[..., :1], count + 1, x.mask if padded else None)
        others = self.places != torch.arange(x.nodes, device=x.points.device)[:, None]
        self.exist = (others if exist is None else others & exist)[..., None].to(x.points.dtype)
        position = x.points[..., 0]
        relative = self.of(position) - position[:, :, None]
        self.harmonics = o3.spherical_harmonics(harmonics, relative, normalize=True, normalization="component")
        distance = relative.norm(dim=-1)
        bumps = soft_one_hot_linspace(distance, 0.0, reach, radii, basis="gaussian", cutoff=False) * radii**0.5
        edges = x.edge_scalars.take_along_dim(self.places[..., None], 2)
        # Messages are products in every layer, which grow too fast for edge scalars as large as squared distances.
        tamed = edges.sign() * edges.abs().log1p()
        self.scalars = torch.cat([bumps, distance[..., None] / reach, tamed], -1)

    def of(self, values: Tensor) -> Tensor:
        """The node values ``[B, N, C]`` of neighbours, ``[B, N, K, C]``."""
        return taken(values, self.places.flatten(1)).unflatten(1, self.places.shape[1:])


class TensorField(nn.Module):
    """Equivariant under E(3): irreps have the parity of the spherical harmonics.

    Reads node scalars, points about their centroid and vectors, and the norms of both. Predicts graph scalars
    ``[B, C]`` from the mean and the maximum of the features of degree 0, or points ``[B, N, 3, 1]`` as displacements of
    the first input point that are linear in the features of degree 1.

    Up to ``degree`` 1 all entries of a coupling have the same magnitude, so that equivariance is exact up to rounding
    in every precision. For higher degrees e3nn keeps couplings in the precision that the network was created in.
    """

    parity = -1
    takes_bfloat16 = False  # e3nn multiplies tensors that autocast converts with others that it does not

    def __init__(self, signature: Signature, settings: TensorFieldSettings) -> None:
        super().__init__()
        if signature.dimension != 3 or settings.degree < 1:
            raise ValueError(
                f"a tensor field network works in 3 dimensions with a degree of at least 1, not in "
                f"{signature.dimension} with {settings.degree}"
            )
        width = settings.width
        self.output = signature.output
        self.padded = signature.padded
        self.count, self.radii, self.reach = settings.neighbours, settings.radii, settings.reach
        self.harmonics = o3.Irreps.spherical_harmonics(settings.degree, p=self.parity)
        vector = (1, self.parity)
        geometry = signature.geometry
        features = o3.Irreps([(signature.node_scalars + geometry, (0, 1)), (geometry, vector)])
        layers = []
        for _ in range(settings.layers):
            layers.append(TensorFieldLayer(features, self.harmonics, width, self.radii + 1 + signature.edge_scalars))
            features = layers[-1].gate.irreps_out
        self.layers = nn.ModuleList(layers)
        self.scalars = width
        if self.output is Representation.NODE_POINTS:
            self.displacement = o3.Linear(features, o3.Irreps([(1, vector)]))
        else:
            self.head = perceptron([2 * width, width, signature.output_channels], "silu")

    def forward(self, x: Structure) -> Tensor:
        neighbours = Neighbours(x, self.count, self.harmonics, self.radii, self.reach, self.padded)
        geometry = x.geometry
        h = torch.cat([x.node_scalars, geometry.norm(dim=2), geometry.mT.flatten(2)], -1)
        for layer in self.layers:
            h = layer(h, neighbours)
        if self.output is Representation.NODE_POINTS:
            return x.points[..., :1] + self.displacement(h)[..., None]
        return self.head(mean_and_max(h[..., : self.scalars], x))


class ProperTensorField(TensorField):
    """Equivariant under SE(3) alone: all irreps are even, so that mirror images are distinguished."""

    parity = 1
