"""O(d) and SO(d)."""

from __future__ import annotations

from torch import Tensor

from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups.group import CompactGroup, identity_matrix
from tasks.symmetry.orthogonalization import gram_schmidt
from tasks.symmetry.structure import Structure


class OrthogonalGroup(CompactGroup):
    """O(d), or SO(d) where ``special``: rotations about the origin, with reflections or without."""

    def __init__(self, dimension: int, special: bool = False) -> None:
        self.dimension = dimension
        self.special = special

    @property
    def name(self) -> str:
        return f"{'SO' if self.special else 'O'}({self.dimension})"

    def identity(self, x: Structure) -> LinearMap:
        return LinearMap(identity_matrix(x, self.dimension))

    def compact_head(self, frame: Tensor) -> LinearMap:
        return LinearMap(gram_schmidt(frame, self.special))
