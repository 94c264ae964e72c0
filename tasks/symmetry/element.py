"""Group elements: K of them for each structure of a batch, their composition and their actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from tasks.symmetry.gathering import counts_of, inverse_of
from tasks.symmetry.representation import Representation
from tasks.symmetry.straight_through import permute_edges, permute_nodes


class Element(ABC):
    """K elements of one group for each of B structures."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """K, the number of elements for each structure."""

    @abstractmethod
    def inverse(self) -> Self:
        """The inverse g^-1 of every element."""

    @abstractmethod
    def compose(self, other: Self) -> Self:
        """The product g h of these elements g and ``other`` h, which acts by h first and then by g."""

    def part(self, start: int, stop: int) -> Self:
        """The elements ``start`` to ``stop`` (exclusive) of each structure."""
        return self._each(lambda values: values[:, start:stop])

    def __getitem__(self, index: Tensor | slice) -> Self:
        """The elements of the structures at these indices of the batch."""
        return self._each(lambda values: values[index])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: change(value) for name, value in tensors.items()})  # type: ignore[type-var]

    @abstractmethod
    def act(self, values: Tensor, representation: Representation) -> Tensor:
        """The action rho(g) on a tensor.

        Args:
            values: ``[B, K or 1, ...]`` with the further axes that ``representation`` has. A single element of each
                structure may also act on K values of it.
            representation: How ``values`` transform.

        Returns:
            ``[B, K, ...]``, or ``values`` themselves if this group leaves the representation unchanged.
        """


@dataclass(frozen=True)
class Permutation(Element):
    """Permutations g of nodes: ``(g x)[g(j)] = x[j]``.

    With a relaxation Q, gradients reach the scores that g was computed from: the straight-through matrix of g is
    M_g Q and that of g^-1 is Q^T M_g^-1. The forward pass only uses the hard part M_g.

    Attributes:
        images: ``images[b, k, j] = g(j)``, int64 ``[B, K, N]``.
        preimages: The images of g^-1, int64 ``[B, K, N]``.
        relaxation: The soft identity Q, ``[B, K, N, N]``, or None for a plain permutation.
        relaxes_target: True for an inverse, whose matrix is Q^T M_g^-1.
    """

    images: Tensor
    preimages: Tensor
    relaxation: Tensor | None = None
    relaxes_target: bool = False

    @staticmethod
    def from_images(images: Tensor, relaxation: Tensor | None = None) -> Permutation:
        """The permutations with these ``images`` ``[B, K, N]``, int64; the preimages are computed."""
        return Permutation(images, inverse_of(images), relaxation)

    @property
    def samples(self) -> int:
        return self.images.shape[1]

    @property
    def mean_matrix(self) -> Tensor:
        """The mean over samples ``[B, N, N]`` of the matrices with a one at ``[j, g(j)]``."""
        return counts_of(self.images) / self.samples

    def inverse(self) -> Permutation:
        return Permutation(self.preimages, self.images, self.relaxation, not self.relaxes_target)

    def compose(self, other: Permutation) -> Permutation:
        """The product g h as plain permutations: a relaxation belongs to one sampled element and does not compose."""
        samples = max(self.samples, other.samples)
        outer, inner = (p.images.expand(-1, samples, -1) for p in (self, other))
        return Permutation.from_images(outer.gather(-1, inner))

    def act(self, values: Tensor, representation: Representation) -> Tensor:
        if representation is Representation.GRAPH_SCALARS:
            return values
        permute = permute_edges if representation is Representation.EDGE_SCALARS else permute_nodes
        return permute(values, self.images, self.preimages, self.relaxation, self.relaxes_target)


@dataclass(frozen=True)
class LinearMap(Element):
    """Orthogonal matrices ``matrix`` ``[B, K, D, D]`` that act on points and vectors about the origin."""

    matrix: Tensor

    @property
    def samples(self) -> int:
        return self.matrix.shape[1]

    @property
    def inverse_matrix(self) -> Tensor:
        """The matrices ``[B, K, D, D]`` of the inverses."""
        return self.matrix.mT

    def inverse(self) -> Self:
        return type(self)(self.inverse_matrix)

    def compose(self, other: Self) -> Self:
        return type(self)(self.matrix @ other.matrix)

    def act(self, values: Tensor, representation: Representation) -> Tensor:
        if not representation.is_geometric:
            return values
        return self.matrix[:, :, None] @ values


@dataclass(frozen=True)
class Affine(Element):
    """Affine maps x -> A x + t of points; vectors v transform to A v.

    Attributes:
        matrix: Invertible matrices A, ``[B, K, D, D]``.
        translation: Translations t, ``[B, K, D]``.
    """

    matrix: Tensor
    translation: Tensor

    @property
    def samples(self) -> int:
        return self.matrix.shape[1]

    @property
    def inverse_matrix(self) -> Tensor:
        """The matrices ``[B, K, D, D]`` of the inverses."""
        return torch.linalg.inv_ex(self.matrix).inverse  # unlike inv, without waiting for the device

    def inverse(self) -> Self:
        matrix = self.inverse_matrix
        return type(self)(matrix, -(matrix @ self.translation[..., None]).squeeze(-1))

    def compose(self, other: Self) -> Self:
        moved = (self.matrix @ other.translation[..., None]).squeeze(-1) + self.translation
        return type(self)(self.matrix @ other.matrix, moved)

    def act(self, values: Tensor, representation: Representation) -> Tensor:
        if not representation.is_geometric:
            return values
        moved = self.matrix[:, :, None] @ values
        if representation is not Representation.NODE_POINTS:
            return moved
        return moved + self.translation[:, :, None, :, None]


@dataclass(frozen=True)
class Rigid(Affine):
    """Isometries x -> R x + t: affine maps whose ``matrix`` R is orthogonal."""

    @property
    def inverse_matrix(self) -> Tensor:
        return self.matrix.mT


@dataclass(frozen=True)
class Product(Element):
    """Elements of a direct product: one :class:`Element` for each factor. The actions of the factors commute."""

    factors: tuple[Element, ...]

    @property
    def samples(self) -> int:
        return max(factor.samples for factor in self.factors)

    def inverse(self) -> Product:
        return Product(tuple(factor.inverse() for factor in self.factors))

    def compose(self, other: Product) -> Product:
        return Product(tuple(g.compose(h) for g, h in zip(self.factors, other.factors, strict=True)))

    def part(self, start: int, stop: int) -> Product:
        return Product(tuple(factor.part(start, stop) for factor in self.factors))

    def __getitem__(self, index: Tensor | slice) -> Product:
        return Product(tuple(factor[index] for factor in self.factors))

    def act(self, values: Tensor, representation: Representation) -> Tensor:
        for factor in self.factors:
            values = factor.act(values, representation)
        return values
