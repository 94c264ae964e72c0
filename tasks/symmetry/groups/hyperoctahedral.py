"""B_d, the symmetries of a cube."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups.group import FiniteGroup, identity_matrix
from tasks.symmetry.structure import Structure


class HyperoctahedralGroup(FiniteGroup):
    """B_d, the 2^d d! signed permutation matrices, which act on the coordinates of R^d.

    Args:
        dimension: d.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.size = 2**dimension * math.factorial(dimension)

    @property
    def name(self) -> str:
        return f"B_{self.dimension}"

    def identity(self, x: Structure) -> LinearMap:
        return LinearMap(identity_matrix(x, self.dimension))

    def compact_head(self, frame: Tensor) -> LinearMap:
        """The elements g whose inverse makes the first column positive and descending.

        Unique if no two entries have the same absolute value and none is zero.
        """
        column = frame[..., 0]
        order = column.abs().argsort(dim=-1, descending=True, stable=True)
        signs = torch.where(column.gather(-1, order) < 0, -1.0, 1.0).to(frame.dtype)
        places = torch.arange(self.dimension, device=order.device)
        return LinearMap((order[..., None, :] == places[:, None]) * signs[..., None, :])

    def matrices(self, like: Tensor) -> Tensor:
        orders = torch.tensor(list(itertools.permutations(range(self.dimension))), device=like.device)
        signs = torch.tensor(list(itertools.product((1, -1), repeat=self.dimension)), device=like.device)
        permutations = torch.eye(self.dimension, dtype=like.dtype, device=like.device)[orders]
        return (permutations * signs[:, None, None].to(like.dtype)).flatten(0, 1)

    def landmark(self, like: Tensor) -> Tensor:
        """The unit vector along (d, d - 1, ..., 1): positive and descending."""
        descending = torch.arange(self.dimension, 0, -1, dtype=like.dtype, device=like.device)
        return descending / descending.norm()

    def covariants(self, vectors: Tensor) -> Tensor:
        """Adds the vectors with coordinates v_i |v_i|."""
        return torch.cat([vectors, vectors * vectors.abs()], -1)
