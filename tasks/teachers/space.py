"""Random functions of points and vectors that commute with a group of space.

Seen from the rest frame h(x), the vectors c that move with x under the compact group K (and not under all of O(D)) have
inner products that K leaves as they are; where K keeps orientations, so is the determinant of D vectors. An invariant
is any function of these, and an equivariant one is h(x) times a sum of c with invariant weights.
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
    """Targets of structures with points, vectors and edges, under a group of space and one of nodes (or none).

    ``reference`` are structures in float64 that set the scale of what is random.
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
        """``[B, 1]``."""
        return self.final(self._invariants(x), Representation.GRAPH_SCALARS)[:, :1]

    def displacement(self, x: Structure) -> Tensor:
        """``[B, N, D, 1]``: vectors that move with ``x``."""
        moving, _ = self._moving_and_pairs(x)
        weights = self.final(self._invariants(x), Representation.EDGE_SCALARS)
        at_rest = torch.einsum("bijc,bjdc->bid", weights, moving)[:, None, ..., None]
        return self.space.rest_frame(x).act(at_rest, Representation.NODE_VECTORS)[:, 0]

    def _invariants(self, x: Structure) -> Tensor:
        """``[B, N, N, C]``."""
        _, pairs = self._moving_and_pairs(x)
        handedness = self._handedness(x, pairs) / self.handedness_size
        return torch.cat([pairs, handedness[:, None, None].expand(*pairs.shape[:3], -1)], -1)

    def _moving_and_pairs(self, x: Structure) -> tuple[Tensor, Tensor]:
        """Vectors c ``[B, N, D, C]`` in the rest frame, and ``[B, N, N, C * C + E]``: their products, and edges."""
        moving = self.space.covariants(self.space.geometry_at_rest(x) / self.size)
        channels, dimension = moving.shape[-1], moving.shape[2]
        products = torch.einsum("bida,bjdc->bijac", moving, moving)
        own = torch.eye(x.nodes, dtype=moving.dtype)[..., None, None] * torch.eye(channels, dtype=moving.dtype)
        centred = (products - dimension * own) / dimension**0.5  # of order one, also for a node with itself
        return moving, torch.cat([centred.flatten(3), x.edge_scalars], -1)

    def _handedness(self, x: Structure, pairs: Tensor) -> Tensor:
        """``[B, S]``: scalars that change under what turns left into right, none (S = 0) where the group has that."""
        geometry = self.space.geometry_at_rest(x) / self.size
        weights = self.oriented(pairs, Representation.NODE_SCALARS).unflatten(-1, (-1, geometry.shape[-1]))
        variance, mean = torch.var_mean(weights, 1, correction=0, keepdim=True)
        columns = torch.einsum("bnac,bndc->bda", (weights - mean) / (variance + FLOOR).sqrt(), geometry)
        return _determinant(self.space, columns / (columns.norm(dim=1, keepdim=True) + FLOOR))


def _determinant(space: GeometricGroup, columns: Tensor) -> Tensor:
    """``[B, S]`` of vectors ``[B, D, D]`` in the rest frame: what the special part of the group leaves as it is."""
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
