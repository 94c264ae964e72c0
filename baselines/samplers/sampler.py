"""The interface of samplers: outsourced noise, and a map from a structure and this noise to weighted group elements."""

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
    """Sampled group elements.

    Attributes:
        element: K elements for each of B structures.
        weight: The weight of each element ``[B, K]``, or None if all are equal.
        penalty: A weighted scalar to add to the loss that regularises the law of the elements, or None.
        statistics: Scalars to log, by name.
    """

    element: Element
    weight: Tensor | None = None
    penalty: Tensor | None = None
    statistics: dict[str, Tensor] = field(default_factory=dict)

    def part(self, start: int, stop: int) -> Sample:
        """The samples ``start`` to ``stop`` (exclusive) with their weights, without penalty and statistics."""
        weight = None if self.weight is None else self.weight[:, start:stop]
        return Sample(self.element.part(start, stop), weight)


class Sampler(nn.Module, ABC):
    """An equivariant law p(g given x) on a group.

    Args:
        group: The group G.
        signature: The shapes of the structures that are sampled for; None skips the check.

    Attributes:
        fixed_samples: The number of elements if it does not depend on the requested number; None otherwise.
        deterministic: True if the set of elements does not depend on the noise.

    Raises:
        ValueError: Structures of ``signature`` have nothing that ``group`` acts on.
    """

    fixed_samples: int | None = None
    deterministic: bool = False

    def __init__(self, group: Group, signature: Signature | None = None) -> None:
        super().__init__()
        if signature is not None:
            group.check(signature)
        self.group = group

    def prepared(self, graphs: Stored) -> Stored:
        """Adds to each structure of a data set what the sampler can compute once, independently of the noise."""
        return graphs

    @abstractmethod
    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        """All random numbers of K = ``samples`` elements for each structure; every part is ``[B, K, ...]``."""

    @abstractmethod
    def forward(self, x: Structure, noise: Noise) -> Sample:
        """The elements as a deterministic function of the structures and the noise."""
