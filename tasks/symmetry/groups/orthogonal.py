"""O(d) and SO(d)."""

from __future__ import annotations

from torch import Tensor

from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups.group import CompactGroup, identity_matrix
from tasks.symmetry.orthogonalization import gram_schmidt
from tasks.symmetry.structure import Structure


class OrthogonalGroup(CompactGroup):
    """O(d), the rotations and reflections about the origin, or SO(d), the rotations.

    Args:
        dimension: d.
        special: True for SO(d).
    """

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
