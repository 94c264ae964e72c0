"""O(d) and SO(d)."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.element import Linear
from tasks.symmetry.groups.group import Group
from tasks.symmetry.noise import Generator, Noise, normal
from tasks.symmetry.orthogonal import gram_schmidt
from tasks.symmetry.structure import Structure


class OrthogonalGroup(Group):
    """O(d), or SO(d) where ``special``: rotations about the origin, with reflections or without."""

    def __init__(self, dimension: int, special: bool = False) -> None:
        self.dimension = dimension
        self.special = special

    @property
    def name(self) -> str:
        return f"{'SO' if self.special else 'O'}({self.dimension})"

    def identity(self, x: Structure) -> Linear:
        return Linear(identity_matrix(x, self.dimension))

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (normal((len(x), samples, self.dimension, self.dimension), x.points, generator),)

    def uniform(self, x: Structure, noise: Noise) -> Linear:
        return Linear(gram_schmidt(noise[0], self.special))

    def random(self, x: Structure, samples: int, generator: Generator) -> Linear:
        return self.uniform(x, self.noise(x, samples, generator))


def identity_matrix(x: Structure, dimension: int) -> Tensor:
    """``[B, 1, D, D]``."""
    matrix = torch.eye(dimension, dtype=x.points.dtype, device=x.points.device)
    return matrix.expand(len(x), 1, dimension, dimension)
