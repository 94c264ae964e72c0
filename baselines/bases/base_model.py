"""What a base model is: a network on structures that group elements can act on."""

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
        """f(x) ``[B, ...]``; absent nodes and pairs are zero."""

    def conjugated(self, x: Structure, element: Element, output: Representation) -> Tensor:
        """rho_out(g) f(rho_in(g)^-1 x) ``[B, K, ...]`` for the K elements g of each structure.

        ``output`` is how f's output transforms.
        """
        y = self(x.acted(element.inverse()))
        return element.act(y.unflatten(0, (len(x), element.samples)), output)

    def origin(self, x: Structure) -> Tensor | None:
        """The points ``[B, N or 1, D, 1]`` that f's output is relative to; ``None`` where it is what f puts out."""
        return None
