"""What a symmetry group of structures is: its identity, its Haar measure, a head, and elements to move inputs by."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from tasks.symmetry.element import Element
from tasks.symmetry.noise import Generator, Noise, normal, uniform
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure


class Group(ABC):
    """A symmetry group of structures."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name that cards and tables use."""

    @abstractmethod
    def identity(self, x: Structure) -> Element:
        """e, once for every structure."""

    @abstractmethod
    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        """The noise of :meth:`uniform`, for ``samples`` elements a structure."""

    @abstractmethod
    def uniform(self, x: Structure, noise: Noise) -> Element:
        """Elements of the law that group averaging takes: Haar measure on the compact part.

        No Haar *probability* exists on translations, scales and boosts; these are taken to the centroid, size and
        rest frame of ``x`` instead, which is equivariant. Raises ``ValueError`` where a group has no such law.
        """

    @abstractmethod
    def random(self, x: Structure, samples: int, generator: Generator) -> Element:
        """Arbitrary elements, translations included: what a test of equivariance moves inputs by."""


class NodeGroup(Group):
    """A group that permutes the nodes that exist."""

    @abstractmethod
    def head(self, x: Structure, scores: Tensor) -> Element:
        """The permutation that node scores ``[B, K, N]`` stand for: ``head(g x, g scores) = g head(x, scores)``.

        Unique where no scores are tied. No gradient reaches the scores.
        """

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (uniform((len(x), samples, x.nodes), x.edge_scalars, generator),)

    def uniform(self, x: Structure, noise: Noise) -> Element:
        return self.head(x, noise[0])  # noise of an invariant law through an equivariant map

    def random(self, x: Structure, samples: int, generator: Generator) -> Element:
        return self.uniform(x, self.noise(x, samples, generator))


class GeometricGroup(Group):
    """A group G that acts on the points and vectors of space R^D by matrices, some with translations.

    G may be larger than any compact group. Its :meth:`rest_frame` h takes care of what is not compact:
    ``h(g x) = g h(x) k`` with k in the compact part K, so ``h(x)^-1 x`` is ``x`` up to K alone. Where G is compact,
    h = e and K = G.
    """

    dimension: int  # D

    @abstractmethod
    def head_at_rest(self, x: Structure, frame: Tensor) -> Element:
        """h(x) k for the k in K that a matrix ``[B, K, D, D]`` of columns seen from the rest frame stands for.

        This is what a sampler needs whose network reads ``h(x)^-1 x`` and is equivariant under K, or under O(D).
        """

    def rest_frame(self, x: Structure) -> Element:
        """h(x), one for every structure."""
        return self.identity(x)

    def head(self, x: Structure, frame: Tensor) -> Element:
        """The element for a matrix ``[B, K, D, D]`` whose columns are vectors that move with ``x``.

        ``head(g x, g frame) = g head(x, frame)``, unique where the columns are linearly independent.
        """
        columns = frame[:, :, None]
        return self.head_at_rest(x, self.rest_frame(x).inverse().act(columns, Representation.NODE_VECTORS)[:, :, 0])

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (normal((len(x), samples, self.dimension, self.dimension), x.points, generator),)

    def uniform(self, x: Structure, noise: Noise) -> Element:
        return self.head_at_rest(x, noise[0])  # noise of a law that K leaves invariant through an equivariant map


class CompactGroup(GeometricGroup):
    """A group of orthogonal matrices."""

    def random(self, x: Structure, samples: int, generator: Generator) -> Element:
        return self.uniform(x, self.noise(x, samples, generator))


def identity_matrix(x: Structure, dimension: int) -> Tensor:
    """``[B, 1, D, D]``."""
    matrix = torch.eye(dimension, dtype=x.points.dtype, device=x.points.device)
    return matrix.expand(len(x), 1, dimension, dimension)
