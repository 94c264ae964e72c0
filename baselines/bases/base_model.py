"""What a base model is: a network on structures, and how group elements enter and leave it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from tasks.symmetry.element import Element
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure


class BaseModel(nn.Module, ABC):
    """A network f that knows nothing of symmetrization.

    Where the output is points, f may put out displacements ``[B, N, D, 1]`` from the points :meth:`origin`. Then the
    displacements are symmetrized, and the origin, which moves with the input, is added once after the mean over group
    elements (Kim et al. 2023, section 4.2): inside the mean it would add to the gradient of the group elements.
    """

    @abstractmethod
    def forward(self, x: Structure) -> Tensor:
        """f(x) ``[B, ...]`` of what :meth:`pullback` gives; absent nodes and pairs are zero."""

    def pullback(self, x: Structure, element: Element) -> Structure:
        """rho_in(g)^-1 x for the K elements g of each structure: ``B * K`` structures."""
        return x.acted(element.inverse())

    def pushforward(self, y: Tensor, element: Element, output: Representation) -> Tensor:
        """rho_out(g) y ``[B, K, ...]`` for f's outputs y ``[B, K, ...]``, which transform as ``output``."""
        return element.act(y, output)

    def origin(self, x: Structure) -> Tensor | None:
        """The points ``[B, N or 1, D, 1]`` that f puts out displacements from; ``None`` where it puts out none."""
        return None
