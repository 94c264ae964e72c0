"""E(d) and SE(d)."""

from __future__ import annotations

from torch import Tensor

from tasks.symmetry.element import LinearMap, Rigid
from tasks.symmetry.groups.group import GeometricGroup, identity_matrix
from tasks.symmetry.groups.orthogonal import OrthogonalGroup
from tasks.symmetry.noise import Generator, normal
from tasks.symmetry.structure import Structure


class EuclideanGroup(GeometricGroup):
    """E(d), the isometries of R^d, or SE(d), those without reflections. The rest frame centres the points.

    Args:
        dimension: d.
        special: True for SE(d).
    """

    translates = True

    def __init__(self, dimension: int, special: bool = False) -> None:
        self.dimension = dimension
        self.special = special
        self.rotations = OrthogonalGroup(dimension, special)

    @property
    def name(self) -> str:
        return f"{'SE' if self.special else 'E'}({self.dimension})"

    def identity(self, x: Structure) -> Rigid:
        return Rigid(identity_matrix(x, self.dimension), x.points.new_zeros(len(x), 1, self.dimension))

    def rest_frame(self, x: Structure) -> Rigid:
        return about_centroid(self.rotations.identity(x), x)

    def geometry_at_rest(self, x: Structure) -> Tensor:
        return x.geometry

    def compact_head(self, frame: Tensor) -> LinearMap:
        return self.rotations.compact_head(frame)

    def from_rest(self, x: Structure, compact: LinearMap) -> Rigid:
        return about_centroid(compact, x)

    def random(self, x: Structure, samples: int, generator: Generator) -> Rigid:
        rotation = self.rotations.compact_head(*self.rotations.noise(x, samples, generator))
        return Rigid(rotation.matrix, normal((len(x), samples, self.dimension), x.points, generator))


def about_centroid(rotation: LinearMap, x: Structure) -> Rigid:
    """The isometry that rotates and then moves the origin to the centroid of ``x``; its inverse centres ``x``."""
    return Rigid(rotation.matrix, x.centroid[:, None].expand(-1, rotation.samples, -1))
