"""U(d) and SU(d)."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups.group import CompactGroup, identity_matrix
from tasks.symmetry.orthogonalization import gram_schmidt
from tasks.symmetry.structure import Structure


class UnitaryGroup(CompactGroup):
    """U(d) or SU(d) on C^d, which is stored as R^2d: d real parts, then d imaginary parts.

    U = A + i B is the orthogonal matrix [[A, -B], [B, A]], so that structures and networks are real.

    Args:
        complex_dimension: d.
        special: True for SU(d).
    """

    def __init__(self, complex_dimension: int, special: bool = False) -> None:
        self.complex_dimension = complex_dimension
        self.dimension = 2 * complex_dimension
        self.special = special

    @property
    def name(self) -> str:
        return f"{'SU' if self.special else 'U'}({self.complex_dimension})"

    def identity(self, x: Structure) -> LinearMap:
        return LinearMap(identity_matrix(x, self.dimension))

    def compact_head(self, frame: Tensor) -> LinearMap:
        """By Gram-Schmidt on the first d columns, read as complex vectors."""
        real, imaginary = frame[..., : self.complex_dimension].chunk(2, -2)
        unitary = gram_schmidt(torch.complex(real, imaginary), self.special)
        top = torch.cat([unitary.real, -unitary.imag], -1)
        bottom = torch.cat([unitary.imag, unitary.real], -1)
        return LinearMap(torch.cat([top, bottom], -2))

    def covariants(self, vectors: Tensor) -> Tensor:
        """Adds i times each vector."""
        real, imaginary = vectors.chunk(2, -2)
        return torch.cat([vectors, torch.cat([-imaginary, real], -2)], -1)
