"""Random functions of points and vectors that are equivariant under a group of space.

In the rest frame h(x), the inner products of vectors c that are equivariant under the compact group K, but not under
all of O(D), are invariant under K. If K preserves orientation, so is the determinant of D vectors. Functions of these
are invariant, and h(x) times a sum of c with invariant weights is equivariant.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.groups import (
    EuclideanGroup,
    GeometricGroup,
    LorentzGroup,
    NodeGroup,
    OrthogonalGroup,
    SimilarityGroup,
    UnitaryGroup,
)
from tasks.symmetry.noise import Generator
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure
from tasks.teachers.relations import FLOOR, PairTeacher


class SpaceTeacher:
    """Targets for structures with points, vectors and edges.

    Args:
        space: The group of space.
        symmetry: The group of permutations; None for the identity.
        reference: Structures in float64, from which the scales of features are taken.
        generator: The source of random weights.
    """

    def __init__(
        self, space: GeometricGroup, symmetry: NodeGroup | None, reference: Structure, generator: Generator
    ) -> None:
        self.space = space
        self.size = space.geometry_at_rest(reference).square().mean().sqrt()
        moving, pairs = self._moving_and_pairs(reference)
        nodes, channels = reference.nodes, moving.shape[-1]
        columns = space.dimension * reference.geometry.shape[-1]
        self.oriented = PairTeacher(symmetry, nodes, pairs.shape[-1], columns, generator)
        self.handedness_size: Tensor | float = 1.0
        handedness = self._handedness(reference, pairs)
        self.handedness_size = handedness.square().mean().clamp_min(FLOOR**2).sqrt() if handedness.numel() else 1.0
        self.final = PairTeacher(symmetry, nodes, pairs.shape[-1] + handedness.shape[-1], channels, generator)

    def invariant(self, x: Structure) -> Tensor:
        """An invariant scalar ``[B, 1]``."""
        return self.final(self._invariants(x), Representation.GRAPH_SCALARS)[:, :1]

    def displacement(self, x: Structure) -> Tensor:
        """Equivariant vectors ``[B, N, D, 1]``."""
        moving, _ = self._moving_and_pairs(x)
        weights = self.final(self._invariants(x), Representation.EDGE_SCALARS)
        at_rest = torch.einsum("bijc,bjdc->bid", weights, moving)[:, None, ..., None]
        return self.space.rest_frame(x).act(at_rest, Representation.NODE_VECTORS)[:, 0]

    def _invariants(self, x: Structure) -> Tensor:
        """Invariant features of pairs, ``[B, N, N, C]``."""
        _, pairs = self._moving_and_pairs(x)
        handedness = self._handedness(x, pairs) / self.handedness_size
        return torch.cat([pairs, handedness[:, None, None].expand(*pairs.shape[:3], -1)], -1)

    def _moving_and_pairs(self, x: Structure) -> tuple[Tensor, Tensor]:
        """Vectors c in the rest frame ``[B, N, D, C]``, and their products and edge scalars ``[B, N, N, C^2 + E]``."""
        moving = self.space.covariants(self.space.geometry_at_rest(x) / self.size)
        channels, dimension = moving.shape[-1], moving.shape[2]
        products = torch.einsum("bida,bjdc->bijac", moving, moving)
        own = torch.eye(x.nodes, dtype=moving.dtype)[..., None, None] * torch.eye(channels, dtype=moving.dtype)
        centred = (products - dimension * own) / dimension**0.5  # of order one, also for a node with itself
        return moving, torch.cat([centred.flatten(3), x.edge_scalars], -1)

    def _handedness(self, x: Structure, pairs: Tensor) -> Tensor:
        """Scalars ``[B, S]`` that change under reflections; S = 0 if the group contains reflections."""
        geometry = self.space.geometry_at_rest(x) / self.size
        weights = self.oriented(pairs, Representation.NODE_SCALARS).unflatten(-1, (-1, geometry.shape[-1]))
        variance, mean = torch.var_mean(weights, 1, correction=0, keepdim=True)
        columns = torch.einsum("bnac,bndc->bda", (weights - mean) / (variance + FLOOR).sqrt(), geometry)
        return _determinant(self.space, columns / (columns.norm(dim=1, keepdim=True) + FLOOR))


def _determinant(space: GeometricGroup, columns: Tensor) -> Tensor:
    """Scalars ``[B, S]`` of vectors ``[B, D, D]`` in the rest frame that only the special part of the group fixes."""
    match space:
        case OrthogonalGroup(special=True) | EuclideanGroup(special=True) | SimilarityGroup(special=True):
            return torch.linalg.det(columns)[:, None]
        case UnitaryGroup(special=True):
            real, imaginary = columns[..., : space.complex_dimension].chunk(2, 1)
            return torch.view_as_real(torch.linalg.det(torch.complex(real, imaginary)))
        case LorentzGroup():
            return torch.linalg.det(columns[:, 1:, :3])[:, None]
        case _:
            return columns.new_zeros(len(columns), 0)
