"""Sim(d) and SSim(d), isometries with a change of scale."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.element import Affine, LinearMap
from tasks.symmetry.groups.euclidean import EuclideanGroup
from tasks.symmetry.groups.group import GeometricGroup
from tasks.symmetry.noise import Generator, normal
from tasks.symmetry.structure import Structure


class SimilarityGroup(GeometricGroup):
    """Sim(d), the maps x -> s R x + t with s > 0 and R in O(d), or SSim(d) with R in SO(d). Vectors v map to s R v.

    In the rest frame the centroid is the origin and the root mean square distance of the points from it is 1. If all
    points coincide the scale is left as it is.

    Args:
        dimension: d.
        special: True for SSim(d).
    """

    translates = True

    def __init__(self, dimension: int, special: bool = False) -> None:
        self.dimension = dimension
        self.special = special
        self.isometries = EuclideanGroup(dimension, special)

    @property
    def name(self) -> str:
        return f"{'SSim' if self.special else 'Sim'}({self.dimension})"

    def identity(self, x: Structure) -> Affine:
        return _scaled(self.isometries.identity(x), x.points.new_ones(len(x), 1))

    def rest_frame(self, x: Structure) -> Affine:
        return _scaled(self.isometries.rest_frame(x), _size(x))

    def compact_head(self, frame: Tensor) -> LinearMap:
        return self.isometries.compact_head(frame)

    def from_rest(self, x: Structure, compact: LinearMap) -> Affine:
        return _scaled(self.isometries.from_rest(x, compact), _size(x))

    def random(self, x: Structure, samples: int, generator: Generator) -> Affine:
        isometry = self.isometries.random(x, samples, generator)
        return _scaled(isometry, (normal((len(x), samples), x.points, generator) / 2).exp())


def _scaled(isometry: Affine, scale: Tensor) -> Affine:
    """The maps x -> s R x + t for an isometry (R, t) and ``scale`` s ``[B, K or 1]``."""
    return Affine(isometry.matrix * scale[..., None, None], isometry.translation)


def _size(x: Structure) -> Tensor:
    """The root mean square distance ``[B, 1]`` of the points from their centroid, 1 if it is zero."""
    points = x.geometry[..., : x.points.shape[-1]]
    squares = points.square().sum((1, 2, 3)) / (x.node_counts * x.points.shape[-1])
    return torch.where(squares > 0, squares, 1.0).sqrt()[:, None]
