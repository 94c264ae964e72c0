"""Symmetry groups: their identity, their Haar measure, and the elements that a structure may be moved by."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from tasks.symmetry.element import Element, Linear, Permutation, Product, Rigid
from tasks.symmetry.noise import Generator, Noise, normal, uniform
from tasks.symmetry.orthogonal import gram_schmidt
from tasks.symmetry.sorting import sort_descending
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

        No Haar *probability* exists on translations; these are taken to the centroid instead, which is equivariant.
        """

    @abstractmethod
    def random(self, x: Structure, samples: int, generator: Generator) -> Element:
        """Arbitrary elements, translations included: what a test of equivariance moves inputs by."""


class SymmetricGroup(Group):
    """S_n: permutations of the nodes that exist."""

    name = "S_n"

    def identity(self, x: Structure) -> Permutation:
        places = torch.arange(x.nodes, device=x.mask.device).expand(len(x), 1, -1)
        return Permutation(places, places)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (uniform((len(x), samples, x.nodes), x.edge_scalars, generator),)

    def uniform(self, x: Structure, noise: Noise) -> Permutation:
        return Permutation.from_images(sort_descending(noise[0], x.mask[:, None]))

    def random(self, x: Structure, samples: int, generator: Generator) -> Permutation:
        return self.uniform(x, self.noise(x, samples, generator))


class OrthogonalGroup(Group):
    """O(d), or SO(d) where ``special``: rotations about the origin, with reflections or without."""

    def __init__(self, dimension: int, special: bool = False) -> None:
        self.dimension = dimension
        self.special = special

    @property
    def name(self) -> str:
        return f"{'SO' if self.special else 'O'}({self.dimension})"

    def identity(self, x: Structure) -> Linear:
        return Linear(_identity_matrix(x, self.dimension))

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (normal((len(x), samples, self.dimension, self.dimension), x.points, generator),)

    def uniform(self, x: Structure, noise: Noise) -> Linear:
        return Linear(gram_schmidt(noise[0], self.special))

    def random(self, x: Structure, samples: int, generator: Generator) -> Linear:
        return self.uniform(x, self.noise(x, samples, generator))


class EuclideanGroup(Group):
    """E(d), or SE(d) where ``special``: isometries of space."""

    def __init__(self, dimension: int, special: bool = False) -> None:
        self.dimension = dimension
        self.special = special
        self.rotations = OrthogonalGroup(dimension, special)

    @property
    def name(self) -> str:
        return f"{'SE' if self.special else 'E'}({self.dimension})"

    def identity(self, x: Structure) -> Rigid:
        return Rigid(_identity_matrix(x, self.dimension), x.points.new_zeros(len(x), 1, self.dimension))

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return self.rotations.noise(x, samples, generator)

    def uniform(self, x: Structure, noise: Noise) -> Rigid:
        return about_centroid(self.rotations.uniform(x, noise), x)

    def random(self, x: Structure, samples: int, generator: Generator) -> Rigid:
        rotation = self.rotations.random(x, samples, generator)
        return Rigid(rotation.matrix, normal((len(x), samples, self.dimension), x.points, generator))


class ProductGroup(Group):
    """A direct product of groups that act on different things."""

    def __init__(self, factors: tuple[Group, ...]) -> None:
        self.factors = factors

    @property
    def name(self) -> str:
        return " x ".join(factor.name for factor in self.factors)

    def identity(self, x: Structure) -> Product:
        return Product(tuple(factor.identity(x) for factor in self.factors))

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return tuple(part for factor in self.factors for part in factor.noise(x, samples, generator))

    def uniform(self, x: Structure, noise: Noise) -> Product:
        return Product(tuple(f.uniform(x, (part,)) for f, part in zip(self.factors, noise, strict=True)))

    def random(self, x: Structure, samples: int, generator: Generator) -> Product:
        return Product(tuple(factor.random(x, samples, generator) for factor in self.factors))


def factors(group: Group) -> tuple[Group, ...]:
    """The factors of a direct product, or the group alone."""
    return group.factors if isinstance(group, ProductGroup) else (group,)


def about_centroid(rotation: Linear, x: Structure) -> Rigid:
    """The isometry that takes the origin to the centroid of ``x`` after rotating: its inverse centres ``x``."""
    return Rigid(rotation.matrix, x.centroid[:, None].expand(-1, rotation.samples, -1))


def _identity_matrix(x: Structure, dimension: int) -> Tensor:
    matrix = torch.eye(dimension, dtype=x.points.dtype, device=x.points.device)
    return matrix.expand(len(x), 1, dimension, dimension)


def group(names: tuple[str, ...]) -> Group:
    """The group with these factors, such as ``("S_n", "E(3)")``. Raises ``ValueError`` for a name that is none."""
    parts = tuple(_factor(name) for name in names)
    return parts[0] if len(parts) == 1 else ProductGroup(parts)


def _factor(name: str) -> Group:
    if name == "S_n":
        return SymmetricGroup()
    kind, _, dimension = name.removesuffix(")").partition("(")
    special = kind.startswith("S")
    if dimension.isdigit() and kind in ("O", "SO"):
        return OrthogonalGroup(int(dimension), special)
    if dimension.isdigit() and kind in ("E", "SE"):
        return EuclideanGroup(int(dimension), special)
    raise ValueError(f"there is no group '{name}': S_n, O(d), SO(d), E(d) and SE(d) are known")
