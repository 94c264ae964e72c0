"""The interface of base models: a network on structures, and how group elements act on its input and output."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from tasks.symmetry.element import Element
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure


class BaseModel(nn.Module, ABC):
    """A network f that need not be symmetric; :class:`~baselines.symmetrized.Symmetrized` makes it so.

    If the output is points, f may return displacements ``[B, N, D, 1]`` from the points :meth:`origin`. Then the
    displacements are symmetrized, and the origin, which transforms with the input, is added once after the mean over
    group elements (Kim et al. 2023, section 4.2). Inside the mean it would contribute to the gradient of the group
    elements.
    """

    @abstractmethod
    def forward(self, x: Structure) -> Tensor:
        """The output f(x) ``[B, ...]``, zero for absent nodes and pairs. The input is what :meth:`pullback` returns."""

    def pullback(self, x: Structure, element: Element) -> Structure:
        """The inputs rho_in(g)^-1 x for the K elements g of each structure: B * K structures."""
        return x.acted(element.inverse())

    def pushforward(self, y: Tensor, element: Element, output: Representation) -> Tensor:
        """The action rho_out(g) y ``[B, K, ...]`` on outputs y of f ``[B, K, ...]``, which transform as ``output``."""
        return element.act(y, output)

    def origin(self, x: Structure) -> Tensor | None:
        """The points ``[B, N or 1, D, 1]`` that displacements start from, or None if f returns no displacements."""
        return None
