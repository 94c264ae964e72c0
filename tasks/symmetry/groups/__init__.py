"""Symmetry groups by name."""

from __future__ import annotations

from tasks.symmetry.groups.euclidean import EuclideanGroup, about_centroid
from tasks.symmetry.groups.group import Group
from tasks.symmetry.groups.orthogonal import OrthogonalGroup
from tasks.symmetry.groups.product import ProductGroup, factors
from tasks.symmetry.groups.symmetric import SymmetricGroup

__all__ = [
    "EuclideanGroup",
    "Group",
    "OrthogonalGroup",
    "ProductGroup",
    "SymmetricGroup",
    "about_centroid",
    "factors",
    "group",
]


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
