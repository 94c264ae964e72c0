"""Direct products."""

from __future__ import annotations

from tasks.symmetry.element import Product
from tasks.symmetry.groups.group import Group
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Structure


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
