"""Direct products."""

from __future__ import annotations

from tasks.symmetry.element import Product
from tasks.symmetry.groups.group import GeometricGroup, Group, NodeGroup
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Signature, Structure


class ProductGroup(Group):
    """A direct product of at most one group that permutes nodes and one that acts on space.

    Raises:
        ValueError: Two factors act on the same thing.
    """

    def __init__(self, factors: tuple[Group, ...]) -> None:
        for kind, where in ((NodeGroup, "nodes"), (GeometricGroup, "space")):
            if len(clash := [factor.name for factor in factors if isinstance(factor, kind)]) > 1:
                raise ValueError(f"{' and '.join(clash)} both act on {where}: a direct product takes one of them")
        self.factors = factors

    @property
    def name(self) -> str:
        return " x ".join(factor.name for factor in self.factors)

    def check(self, signature: Signature) -> None:
        for factor in self.factors:
            factor.check(signature)

    def identity(self, x: Structure) -> Product:
        return Product(tuple(factor.identity(x) for factor in self.factors))

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return tuple(part for factor in self.factors for part in factor.noise(x, samples, generator))

    def uniform(self, x: Structure, noise: Noise) -> Product:
        return Product(tuple(f.uniform(x, (part,)) for f, part in zip(self.factors, noise, strict=True)))

    def random(self, x: Structure, samples: int, generator: Generator) -> Product:
        return Product(tuple(factor.random(x, samples, generator) for factor in self.factors))


def node_and_space(group: Group) -> tuple[NodeGroup | None, GeometricGroup | None]:
    """Returns the factor that permutes nodes and the factor that acts on space, each None if there is none."""
    nodes = next((factor for factor in factors(group) if isinstance(factor, NodeGroup)), None)
    space = next((factor for factor in factors(group) if isinstance(factor, GeometricGroup)), None)
    return nodes, space


def factors(group: Group) -> tuple[Group, ...]:
    """The factors of a direct product; a tuple of the group itself if it is no product."""
    return group.factors if isinstance(group, ProductGroup) else (group,)
