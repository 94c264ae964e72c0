"""Symmetry groups by name."""

from __future__ import annotations

from collections.abc import Callable

from tasks.symmetry.groups.affine import AffineGroup
from tasks.symmetry.groups.euclidean import EuclideanGroup, about_centroid
from tasks.symmetry.groups.group import FiniteGroup, GeometricGroup, Group, NodeGroup
from tasks.symmetry.groups.hyperoctahedral import HyperoctahedralGroup
from tasks.symmetry.groups.lorentz import LorentzGroup
from tasks.symmetry.groups.orthogonal import OrthogonalGroup
from tasks.symmetry.groups.plane import PlaneGroup
from tasks.symmetry.groups.product import ProductGroup, factors, node_and_space
from tasks.symmetry.groups.sequence import SequenceGroup
from tasks.symmetry.groups.similarity import SimilarityGroup
from tasks.symmetry.groups.symmetric import SymmetricGroup
from tasks.symmetry.groups.trivial import TrivialGroup
from tasks.symmetry.groups.unitary import UnitaryGroup
from tasks.symmetry.names import TRIVIAL, family

__all__ = [
    "AffineGroup",
    "EuclideanGroup",
    "FiniteGroup",
    "GeometricGroup",
    "Group",
    "HyperoctahedralGroup",
    "LorentzGroup",
    "NodeGroup",
    "OrthogonalGroup",
    "PlaneGroup",
    "ProductGroup",
    "SequenceGroup",
    "SimilarityGroup",
    "SymmetricGroup",
    "TrivialGroup",
    "UnitaryGroup",
    "about_centroid",
    "factors",
    "group",
    "node_and_space",
]

SINGLE: dict[str, Callable[[], Group]] = {
    "S_n": SymmetricGroup,
    "C_n": SequenceGroup,
    "D_n": lambda: SequenceGroup(reversals=True),
    "SO+(1,3)": LorentzGroup,
    TRIVIAL: TrivialGroup,
}
FAMILIES: dict[str, Callable[[int], Group]] = {  # the number takes the place of #
    "O(#)": OrthogonalGroup,
    "SO(#)": lambda d: OrthogonalGroup(d, special=True),
    "E(#)": EuclideanGroup,
    "SE(#)": lambda d: EuclideanGroup(d, special=True),
    "Sim(#)": SimilarityGroup,
    "SSim(#)": lambda d: SimilarityGroup(d, special=True),
    "Aff(#)": AffineGroup,
    "U(#)": UnitaryGroup,
    "SU(#)": lambda d: UnitaryGroup(d, special=True),
    "C_#": PlaneGroup,
    "D_#": lambda m: PlaneGroup(m, reflections=True),
    "B_#": HyperoctahedralGroup,
}


def group(names: tuple[str, ...]) -> Group:
    """Builds a group from the names of its factors.

    Args:
        names: One name, or several for a direct product.

    Raises:
        ValueError: There is no group of such a name, or two factors act on the same thing.

    Example:
        A random rotation of the plane keeps all distances, and its inverse undoes it.

        >>> import torch
        >>> from tasks.symmetry.structure import Structure
        >>> points = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).view(1, 2, 2, 1)
        >>> x = Structure.build(torch.ones(1, 2, dtype=torch.bool), points=points)
        >>> rotations = group(("SO(2)",))
        >>> g = rotations.random(x, samples=1, generator=None)
        >>> moved = x.acted(g)
        >>> round((moved.points[0, 1] - moved.points[0, 0]).norm().item(), 4)
        5.0
        >>> torch.allclose(moved.acted(g.inverse()).points, x.points, atol=1e-5)
        True

        >>> group(("S_n", "E(3)")).name
        'S_n x E(3)'
    """
    parts = tuple(_factor(name) for name in names)
    return parts[0] if len(parts) == 1 else ProductGroup(parts)


def _factor(name: str) -> Group:
    if name in SINGLE:
        return SINGLE[name]()
    kind, number = family(name)
    if number and kind in FAMILIES:
        return FAMILIES[kind](number)
    known = ", ".join([*SINGLE, *FAMILIES])
    raise ValueError(f"there is no group '{name}'; known are {known}, where # is a number")
