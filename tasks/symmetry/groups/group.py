"""What a symmetry group of structures is: its identity, its Haar measure, and elements to move inputs by."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tasks.symmetry.element import Element
from tasks.symmetry.noise import Generator, Noise
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
