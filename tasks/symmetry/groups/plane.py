"""C_m and D_m, the symmetries of a regular polygon in the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups.group import FiniteGroup, identity_matrix
from tasks.symmetry.orthogonalization import plane_rotation
from tasks.symmetry.structure import Structure


class PlaneGroup(FiniteGroup):
    """C_m, the rotations of R^2 by multiples of 2 pi / m, or D_m, which adds the reflections of a regular m-gon.

    One vertex of the polygon is on the first axis, so (x, y) -> (x, -y) is in D_m.

    Args:
        order: m.
        reflections: True for D_m.
    """

    dimension = 2

    def __init__(self, order: int, reflections: bool = False) -> None:
        self.order = order
        self.reflections = reflections
        self.size = 2 * order if reflections else order

    @property
    def name(self) -> str:
        return f"{'D' if self.reflections else 'C'}_{self.order}"

    def identity(self, x: Structure) -> LinearMap:
        return LinearMap(identity_matrix(x, self.dimension))

    def compact_head(self, frame: Tensor) -> LinearMap:
        """The elements g that map the wedge at the first axis to the wedge that contains the first column.

        A wedge is a fundamental domain, which makes g unique: angles from 0 to 2 pi / m for C_m, to pi / m for D_m.
        """
        turn = 2 * math.pi / self.order
        angle = torch.atan2(frame[..., 1, 0], frame[..., 0, 0])
        steps = (angle / turn).floor()
        if not self.reflections:
            return LinearMap(plane_rotation(steps * turn))
        flip = angle - steps * turn > turn / 2
        rotation = plane_rotation((steps + flip) * turn)
        sign = torch.where(flip, -1.0, 1.0).to(frame.dtype)
        return LinearMap(torch.cat([rotation[..., :1], rotation[..., 1:] * sign[..., None, None]], -1))

    def matrices(self, like: Tensor) -> Tensor:
        turns = torch.arange(self.order, dtype=like.dtype, device=like.device)
        rotations = plane_rotation(turns * (2 * math.pi / self.order))
        return torch.cat([rotations, rotations * rotations.new_tensor([1.0, -1.0])]) if self.reflections else rotations

    def landmark(self, like: Tensor) -> Tensor:
        """The unit vector in the middle of the wedge."""
        half = like.new_tensor(math.pi / self.size)
        return torch.stack([half.cos(), half.sin()])

    def covariants(self, vectors: Tensor) -> Tensor:
        """Adds |z| (conj(z) / |z|)^(m - 1) for each z in C = R^2 and, for C_m, a quarter turn of all of these."""
        length, angle = vectors.norm(dim=-2, keepdim=True), torch.atan2(vectors[..., 1:, :], vectors[..., :1, :])
        power = (self.order - 1) * angle
        all_of_them = torch.cat([vectors, torch.cat([length * power.cos(), -length * power.sin()], -2)], -1)
        if self.reflections:
            return all_of_them
        first, second = all_of_them.split(1, -2)
        return torch.cat([all_of_them, torch.cat([-second, first], -2)], -1)
