"""C_m and D_m: the symmetries of a regular polygon in the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tasks.symmetry.element import Linear
from tasks.symmetry.groups.group import CompactGroup, identity_matrix
from tasks.symmetry.structure import Structure


class PlaneGroup(CompactGroup):
    """C_m, the rotations of R^2 by multiples of 2 pi / m, or D_m, with the reflections that keep an m-gon in place.

    One vertex of the polygon lies on the first axis: (x, y) -> (x, -y) is in D_m.
    """

    dimension = 2

    def __init__(self, order: int, reflections: bool = False) -> None:
        self.order = order
        self.reflections = reflections

    @property
    def name(self) -> str:
        return f"{'D' if self.reflections else 'C'}_{self.order}"

    def identity(self, x: Structure) -> Linear:
        return Linear(identity_matrix(x, self.dimension))

    def head_at_rest(self, x: Structure, frame: Tensor) -> Linear:
        """g that takes a wedge between the first axis and the next one of its kind to where the first column lies.

        The wedge is 2 pi / m wide for C_m and pi / m for D_m: as wide as makes g unique.
        """
        turn = 2 * math.pi / self.order
        angle = torch.atan2(frame[..., 1, 0], frame[..., 0, 0])
        steps = (angle / turn).floor()
        if not self.reflections:
            return Linear(_rotation(steps * turn))
        flip = angle - steps * turn > turn / 2
        rotation = _rotation((steps + flip) * turn)
        sign = torch.where(flip, -1.0, 1.0).to(frame.dtype)
        return Linear(torch.cat([rotation[..., :1], rotation[..., 1:] * sign[..., None, None]], -1))


def _rotation(angle: Tensor) -> Tensor:
    """``[..., 2, 2]``."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -1)
