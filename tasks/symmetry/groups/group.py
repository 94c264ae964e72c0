"""What a symmetry group of structures is: its identity, its Haar measure, a head, and elements to move inputs by."""

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
    """A symmetry group of structures."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name that cards and tables use."""

    @abstractmethod
    def check(self, signature: Signature) -> None:
        """Raises ``ValueError``, which says what to do, where there is nothing for the group to act on."""

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

    def check(self, signature: Signature) -> None:
        """There are always nodes."""

    @abstractmethod
    def head(self, x: Structure, scores: Tensor) -> Permutation:
        """The permutation that node scores ``[B, K, N]`` stand for: ``head(g x, g scores) = g head(x, scores)``.

        Unique where no scores are tied. No gradient reaches the scores.
        """

    @abstractmethod
    def relaxed_head(self, x: Structure, scores: Tensor, temperature: float, steps: int) -> Permutation:
        """The same for scores of unit norm, with a soft identity behind it that makes gradients flow to them.

        It tends to the identity as ``temperature`` does to 0; ``steps`` are of what normalises it, if anything does.
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
        """The k in K that a matrix ``[B, K, D, D]`` of columns stands for, equivariant under K."""

    @abstractmethod
    def from_rest(self, x: Structure, compact: LinearMap) -> Element:
        """h(x) k."""

    def rest_frame(self, x: Structure) -> Element:
        """h(x), one for every structure."""
        return self.identity(x)

    def geometry_at_rest(self, x: Structure) -> Tensor:
        """``[B, N, D, P + V]``: the geometry of ``h(x)^-1 x``."""
        return x.acted(self.rest_frame(x).inverse()).geometry

    def covariants(self, vectors: Tensor) -> Tensor:
        """``[..., D, C']``: these vectors ``[..., D, C]`` and others that K, though not all of O(D), moves with them.

        A network that is equivariant under O(D) and reads them is equivariant under K alone: nothing but K is forced
        on it. (Under SO(d), where the generalised cross product would be one, it stays equivariant under O(d).)
        """
        return vectors

    def head_at_rest(self, x: Structure, frame: Tensor) -> Element:
        """h(x) k for the k in K that a matrix ``[B, K, D, D]`` of columns seen from the rest frame stands for.

        This is what a sampler needs whose network reads ``h(x)^-1 x`` and is equivariant under K, or under O(D).
        """
        return self.from_rest(x, self.compact_head(frame))

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

    def from_rest(self, x: Structure, compact: LinearMap) -> LinearMap:
        return compact

    def geometry_at_rest(self, x: Structure) -> Tensor:
        return x.geometry

    def random(self, x: Structure, samples: int, generator: Generator) -> Element:
        return self.uniform(x, self.noise(x, samples, generator))


class FiniteGroup(CompactGroup):
    """A finite group of orthogonal matrices."""

    size: int  # the number of elements

    @abstractmethod
    def matrices(self, like: Tensor) -> Tensor:
        """All elements ``[size, D, D]``, each once, in the dtype and on the device of ``like``."""

    @abstractmethod
    def landmark(self, like: Tensor) -> Tensor:
        """A unit vector w ``[D]`` such that :meth:`compact_head` is the g with g w nearest to the first column."""

    def relaxed_compact_head(self, frame: Tensor, temperature: float) -> tuple[LinearMap, Tensor]:
        """The same, straight-through, and the law ``[B, K, size]`` over all elements that gradients flow to.

        That is a softmax of the cosines between the first column and every g w; the soft matrix is its mean.
        """
        matrices = self.matrices(frame)
        column = frame[..., 0] / frame[..., 0].norm(dim=-1, keepdim=True).clamp_min(torch.finfo(frame.dtype).tiny)
        law = (column @ (matrices @ self.landmark(frame)).mT / temperature).softmax(-1)
        soft = torch.tensordot(law, matrices, 1)
        return LinearMap(self.compact_head(frame.detach()).matrix + (soft - soft.detach())), law


def identity_matrix(x: Structure, dimension: int) -> Tensor:
    """``[B, 1, D, D]``."""
    matrix = torch.eye(dimension, dtype=x.points.dtype, device=x.points.device)
    return matrix.expand(len(x), 1, dimension, dimension)
