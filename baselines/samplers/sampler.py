"""What a sampler is: outsourced noise, and a map from a structure and that noise to weighted group elements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor, nn

from tasks.ragged import Stored
from tasks.symmetry.element import Element
from tasks.symmetry.groups import Group
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Signature, Structure


@dataclass(frozen=True)
class Sample:
    """``[B, K]`` group elements, with a weight ``[B, K]`` each where the law is not uniform over them.

    ``penalty`` is a scalar to add to the loss (weighted already) that belongs to the law of the elements.
    """

    element: Element
    weight: Tensor | None = None
    penalty: Tensor | None = None
    statistics: dict[str, Tensor] = field(default_factory=dict)

    def part(self, start: int, stop: int) -> Sample:
        """The samples ``start`` to ``stop`` with their weights."""
        weight = None if self.weight is None else self.weight[:, start:stop]
        return Sample(self.element.part(start, stop), weight)


class Sampler(nn.Module, ABC):
    """An equivariant law p(g given x) on ``group``.

    ``fixed_samples`` is the number of elements that the sampler brings whatever it is asked for (``None``: as asked);
    ``deterministic`` says that the elements, as a set, do not depend on chance.
    """

    fixed_samples: int | None = None
    deterministic: bool = False

    def __init__(self, group: Group, signature: Signature | None = None) -> None:
        """Raises ``ValueError`` where structures of ``signature`` have nothing that ``group`` acts on."""
        super().__init__()
        if signature is not None:
            group.check(signature)
        self.group = group

    def prepared(self, graphs: Stored) -> Stored:
        """The structures of a data set with what the elements need to know of each, whatever the noise."""
        return graphs

    @abstractmethod
    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        """All the chance in ``samples`` elements for each structure; every part is ``[B, K, ...]``."""

    @abstractmethod
    def forward(self, x: Structure, noise: Noise) -> Sample:
        """The elements that this noise stands for."""
