"""B_d: the symmetries of a cube."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.element import Linear
from tasks.symmetry.groups.group import CompactGroup, identity_matrix
from tasks.symmetry.structure import Structure


class HyperoctahedralGroup(CompactGroup):
    """B_d, sign flips semi-direct S_d: the 2^d d! signed permutation matrices, on the coordinates of R^d."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    @property
    def name(self) -> str:
        return f"B_{self.dimension}"

    def identity(self, x: Structure) -> Linear:
        return Linear(identity_matrix(x, self.dimension))

    def head_at_rest(self, x: Structure, frame: Tensor) -> Linear:
        """g whose inverse makes the first column positive and descending, unique where no sizes are tied or zero."""
        column = frame[..., 0]
        order = column.abs().argsort(dim=-1, descending=True, stable=True)
        signs = torch.where(column.gather(-1, order) < 0, -1.0, 1.0).to(frame.dtype)
        places = torch.arange(self.dimension, device=order.device)
        return Linear((order[..., None, :] == places[:, None]) * signs[..., None, :])
