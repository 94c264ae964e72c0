"""Symmetry groups of structures: identity, Haar measure, heads, and random elements."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from tasks.symmetry.element import Element, LinearMap, Permutation
from tasks.symmetry.names import nothing_to_act_on
from tasks.symmetry.noise import Generator, Noise, normal, uniform
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


class Group(ABC):
    """A symmetry group of structures. The noise of :meth:`uniform` is drawn first, by :meth:`noise`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name that cards and tables use."""

    @abstractmethod
    def check(self, signature: Signature) -> None:
        """Raises ValueError if structures of this signature have nothing that the group acts on."""

    @abstractmethod
    def identity(self, x: Structure) -> Element:
        """The identity element e, one for each structure."""

    @abstractmethod
    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        """The noise that :meth:`uniform` takes, for ``samples`` elements of each structure."""

    @abstractmethod
    def uniform(self, x: Structure, noise: Noise) -> Element:
        """Elements for group averaging: uniform (Haar measure) on the compact part of the group.

        There is no Haar probability measure on translations, scales and boosts. Their part of the element is an
        equivariant function of ``x`` instead: its centroid, its size and its rest frame.

        Args:
            x: B structures.
            noise: The noise of K elements for each structure, from :meth:`noise`.

        Raises:
            ValueError: The group has no such law.
        """

    @abstractmethod
    def random(self, x: Structure, samples: int, generator: Generator) -> Element:
        """Random elements of the whole group, translations included, for tests of equivariance."""


class NodeGroup(Group):
    """A group that permutes the nodes that exist; absent nodes stay at their places."""

    def check(self, signature: Signature) -> None:
        """Does nothing: every structure has nodes."""

    @abstractmethod
    def head(self, x: Structure, scores: Tensor) -> Permutation:
        """Maps node scores to permutations, equivariantly.

        That is, head(g x, g scores) = g head(x, scores).

        Args:
            x: B structures.
            scores: ``[B, K, N]``. The permutation is unique if no scores are tied.

        Returns:
            K permutations for each structure. They have no gradient with respect to the scores.
        """

    @abstractmethod
    def relaxed_head(self, x: Structure, scores: Tensor, temperature: float, steps: int) -> Permutation:
        """The permutations of :meth:`head` with a relaxation, through which gradients reach the scores.

        Args:
            x: B structures.
            scores: Scores of unit norm, ``[B, K, N]``.
            temperature: Positive; the relaxation tends to the identity as it goes to 0.
            steps: Number of normalisations of the relaxation, for groups that normalise it.
        """

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (uniform((len(x), samples, x.nodes), x.edge_scalars, generator),)

    def uniform(self, x: Structure, noise: Noise) -> Element:
        return self.head(x, noise[0])  # an equivariant map of noise whose law is invariant

    def random(self, x: Structure, samples: int, generator: Generator) -> Element:
        return self.uniform(x, self.noise(x, samples, generator))


class GeometricGroup(Group):
    """A group G that acts on points and vectors in R^D by matrices, and in some groups by translations of points.

    G need not be compact. Its :meth:`rest_frame` h reduces it to its compact part K: h(g x) = g h(x) k with k in K, so
    structures that differ by an element of G have h(x)^-1 x that differ by an element of K. For compact G, h = e and
    K = G.

    Attributes:
        dimension: D.
        translates: True if the group translates points.
    """

    dimension: int
    translates: bool = False

    def check(self, signature: Signature) -> None:
        if signature.geometry == 0:
            raise ValueError(nothing_to_act_on(self.name))
        if signature.dimension != self.dimension:
            raise ValueError(
                f"{self.name} acts on R^{self.dimension}, and points and vectors are in R^{signature.dimension}: "
                "take a group of that dimension"
            )
        if self.translates and signature.points == 0:
            raise ValueError(f"{self.name} moves points, and there are only vectors: take a group about the origin")

    @abstractmethod
    def compact_head(self, frame: Tensor) -> LinearMap:
        """Maps matrices ``[B, K, D, D]`` to elements of the compact part, equivariantly under it."""

    @abstractmethod
    def from_rest(self, x: Structure, compact: LinearMap) -> Element:
        """The elements h(x) k for elements k of the compact part."""

    def rest_frame(self, x: Structure) -> Element:
        """The equivariant element h(x), one for each structure."""
        return self.identity(x)

    def geometry_at_rest(self, x: Structure) -> Tensor:
        """The geometry of h(x)^-1 x, ``[B, N, D, P + V]``."""
        return x.acted(self.rest_frame(x).inverse()).geometry

    def covariants(self, vectors: Tensor) -> Tensor:
        """Adds vectors that transform with the given ones under the compact part K, but not under all of O(D).

        An O(D)-equivariant network that reads them is only restricted to equivariance under K. For SO(d), whose
        additional vector would be the generalised cross product, nothing is added.

        Args:
            vectors: ``[..., D, C]``.

        Returns:
            ``[..., D, C']`` with C' >= C; the first C are ``vectors``.
        """
        return vectors

    def head_at_rest(self, x: Structure, frame: Tensor) -> Element:
        """The elements h(x) k for a network that reads h(x)^-1 x and is equivariant under K or under O(D).

        Args:
            x: B structures.
            frame: The matrices ``[B, K, D, D]`` that the network puts out; :meth:`compact_head` maps them to k.
        """
        return self.from_rest(x, self.compact_head(frame))

    def head(self, x: Structure, frame: Tensor) -> Element:
        """Maps matrices to group elements, equivariantly.

        That is, head(g x, g frame) = g head(x, frame).

        Args:
            x: B structures.
            frame: ``[B, K, D, D]``; the columns are vectors that transform with ``x``. The element is unique if they
                are linearly independent.
        """
        columns = frame[:, :, None]
        return self.head_at_rest(x, self.rest_frame(x).inverse().act(columns, Representation.NODE_VECTORS)[:, :, 0])

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (normal((len(x), samples, self.dimension, self.dimension), x.points, generator),)

    def uniform(self, x: Structure, noise: Noise) -> Element:
        return self.head_at_rest(x, noise[0])  # an equivariant map of noise whose law is invariant under K


class CompactGroup(GeometricGroup):
    """A group of orthogonal matrices."""

    def from_rest(self, x: Structure, compact: LinearMap) -> LinearMap:
        return compact

    def geometry_at_rest(self, x: Structure) -> Tensor:
        return x.geometry

    def random(self, x: Structure, samples: int, generator: Generator) -> Element:
        return self.uniform(x, self.noise(x, samples, generator))


class FiniteGroup(CompactGroup):
    """A finite group of orthogonal matrices.

    Attributes:
        size: The number of elements.
    """

    size: int

    @abstractmethod
    def matrices(self, like: Tensor) -> Tensor:
        """All elements ``[size, D, D]``, each once, with the dtype and on the device of ``like``."""

    @abstractmethod
    def landmark(self, like: Tensor) -> Tensor:
        """A unit vector w ``[D]``: :meth:`compact_head` is the g for which g w is nearest to the first column."""

    def relaxed_compact_head(self, frame: Tensor, temperature: float) -> tuple[LinearMap, Tensor]:
        """The elements of :meth:`compact_head` with a straight-through gradient.

        The law over all elements is a softmax of cosines / temperature, where the cosines are those between the first
        column and every g w of :meth:`landmark`. Gradients flow through the mean matrix of this law.

        Args:
            frame: ``[B, K, D, D]``.
            temperature: Positive.

        Returns:
            The elements and the law ``[B, K, size]``.
        """
        matrices = self.matrices(frame)
        column = frame[..., 0] / frame[..., 0].norm(dim=-1, keepdim=True).clamp_min(torch.finfo(frame.dtype).tiny)
        law = (column @ (matrices @ self.landmark(frame)).mT / temperature).softmax(-1)
        soft = torch.tensordot(law, matrices, 1)
        return LinearMap(self.compact_head(frame.detach()).matrix + (soft - soft.detach())), law


def identity_matrix(x: Structure, dimension: int) -> Tensor:
    """Identity matrices ``[B, 1, D, D]``, one for each structure."""
    matrix = torch.eye(dimension, dtype=x.points.dtype, device=x.points.device)
    return matrix.expand(len(x), 1, dimension, dimension)
