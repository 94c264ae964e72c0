"""Aff(d), the affine group."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.element import Affine, LinearMap
from tasks.symmetry.groups.group import GeometricGroup, identity_matrix
from tasks.symmetry.groups.orthogonal import OrthogonalGroup
from tasks.symmetry.names import no_haar_measure
from tasks.symmetry.noise import Generator, Noise, normal
from tasks.symmetry.structure import Structure

RIDGE = 64  # the ridge in units of machine epsilon times the mean variance


class AffineGroup(GeometricGroup):
    """Aff(d) = GL(d) semi-direct R^d: x -> A x + t for any invertible A.

    The rest frame whitens: the centroid becomes the origin and the second moments of ``x.geometry`` the identity, so
    that O(d) remains. If points and vectors do not span R^d, no map of ``x`` alone is equivariant, since ``x`` does not
    determine a scale in the other directions; a small ridge then keeps h finite.
    """

    translates = True
    special = False

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.rotations = OrthogonalGroup(dimension)

    @property
    def name(self) -> str:
        return f"Aff({self.dimension})"

    def identity(self, x: Structure) -> Affine:
        return Affine(identity_matrix(x, self.dimension), x.points.new_zeros(len(x), 1, self.dimension))

    def rest_frame(self, x: Structure) -> Affine:
        vectors = x.geometry.transpose(2, 3).flatten(1, 2)  # [B, N * (P + V), D]
        count = (x.node_counts * x.geometry.shape[-1])[:, None, None]
        moments = vectors.mT @ vectors / count
        size = moments.diagonal(dim1=-2, dim2=-1).mean(-1)
        ridge = torch.where(size > 0, RIDGE * torch.finfo(size.dtype).eps * size, 1.0)
        root = torch.linalg.cholesky_ex(moments + torch.diag_embed(ridge[:, None].expand(-1, self.dimension))).L
        return Affine(root[:, None], x.centroid[:, None])

    def compact_head(self, frame: Tensor) -> LinearMap:
        """By Gram-Schmidt: :meth:`head` then orthonormalises a frame in the metric of the second moments of ``x``."""
        return self.rotations.compact_head(frame)

    def from_rest(self, x: Structure, compact: LinearMap) -> Affine:
        return self.rest_frame(x).compose(Affine(compact.matrix, torch.zeros_like(compact.matrix[..., 0])))

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        raise ValueError(no_haar_measure(self.name))

    def uniform(self, x: Structure, noise: Noise) -> Affine:
        raise ValueError(no_haar_measure(self.name))

    def random(self, x: Structure, samples: int, generator: Generator) -> Affine:
        """Random elements whose singular values have logarithms of standard deviation 1/4, for numerical precision."""
        rotations = (self.rotations.noise(x, samples, generator)[0] for _ in range(2))
        left, right = (self.rotations.compact_head(noise).matrix for noise in rotations)
        scales = (normal((len(x), samples, 1, self.dimension), x.points, generator) / 4).exp()
        translation = normal((len(x), samples, self.dimension), x.points, generator)
        return Affine((left * scales) @ right, translation)
