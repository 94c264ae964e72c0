"""Group axioms, actions and Haar measure."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.symmetry.element import Element, Linear, Permutation, Product, Rigid
from tasks.symmetry.groups import Group, OrthogonalGroup, SymmetricGroup, group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure
from tests.structures import random_graphs, random_particles

GROUPS = [("S_n",), ("O(3)",), ("SO(3)",), ("E(3)",), ("SE(3)",), ("S_n", "O(3)"), ("S_n", "SE(3)")]
REPRESENTATIONS = list(Representation)


def values_of(x: Structure, representation: Representation) -> Tensor:
    batch, nodes = x.mask.shape
    shapes = {
        Representation.GRAPH_SCALARS: (batch, 1, 4),
        Representation.NODE_SCALARS: (batch, 1, nodes, 2),
        Representation.NODE_POINTS: (batch, 1, nodes, 3, 2),
        Representation.NODE_VECTORS: (batch, 1, nodes, 3, 2),
        Representation.EDGE_SCALARS: (batch, 1, nodes, nodes, 2),
    }
    return torch.randn(shapes[representation], dtype=torch.float64)


def parts(element: Element) -> list[Tensor]:
    if isinstance(element, Product):
        return [part for factor in element.factors for part in parts(factor)]
    if isinstance(element, Permutation):
        return [element.images.double()]
    if isinstance(element, Rigid):
        return [element.matrix, element.translation]
    assert isinstance(element, Linear)
    return [element.matrix]


def assert_same(one: Element, other: Element) -> None:
    for a, b in zip(parts(one), parts(other), strict=True):
        torch.testing.assert_close(*torch.broadcast_tensors(a, b), atol=1e-12, rtol=0)


@pytest.mark.parametrize("names", GROUPS)
@given(seed=st.integers(0, 2**31))
def test_axioms(names: tuple[str, ...], seed: int) -> None:
    x, symmetry = random_particles(2, 5), group(names)
    a, b, c = (symmetry.random(x, 3, torch.Generator().manual_seed(seed + i)) for i in range(3))
    identity = symmetry.identity(x)
    assert_same(a.compose(b).compose(c), a.compose(b.compose(c)))
    assert_same(a.compose(a.inverse()), identity)
    assert_same(a.inverse().compose(a), identity)
    assert_same(a.compose(identity), a)
    assert_same(a.compose(b).inverse(), b.inverse().compose(a.inverse()))


@pytest.mark.parametrize("names", GROUPS)
@pytest.mark.parametrize("representation", REPRESENTATIONS)
@given(seed=st.integers(0, 2**31))
def test_actions_are_homomorphisms(names: tuple[str, ...], representation: Representation, seed: int) -> None:
    x, symmetry = random_particles(2, 5), group(names)
    a, b = (symmetry.random(x, 2, torch.Generator().manual_seed(seed + i)) for i in range(2))
    values = values_of(x, representation)
    torch.testing.assert_close(
        a.act(b.act(values, representation), representation), a.compose(b).act(values, representation)
    )
    unmoved = symmetry.identity(x).act(values, representation)
    torch.testing.assert_close(unmoved, values)


@given(seed=st.integers(0, 2**31))
def test_permutations_move_nodes_to_their_images_and_leave_padding(seed: int) -> None:
    x = random_graphs(3, 6, seed=seed % 100)
    g = SymmetricGroup().random(x, 2, torch.Generator().manual_seed(seed))
    moved = x.acted(g)
    for b in range(3):
        for k in range(2):
            place = g.images[b, k]
            torch.testing.assert_close(moved.node_scalars[2 * b + k][place], x.node_scalars[b])
            torch.testing.assert_close(moved.edge_scalars[2 * b + k][place][:, place], x.edge_scalars[b])
    torch.testing.assert_close(moved.mask, x.mask.repeat_interleave(2, 0))
    assert not moved.node_scalars[~moved.mask].any()


def test_points_move_under_translations_and_vectors_do_not() -> None:
    x = random_particles(2, 5)
    g = Rigid(torch.eye(3, dtype=torch.float64).expand(2, 1, 3, 3), torch.ones(2, 1, 3, dtype=torch.float64))
    moved = x.acted(g)
    torch.testing.assert_close(moved.points, x.points + 1)
    torch.testing.assert_close(moved.vectors, x.vectors)
    torch.testing.assert_close(moved.geometry, x.geometry)


@pytest.mark.parametrize("dimension", [2, 3, 5])
@pytest.mark.parametrize("special", [False, True])
def test_haar_moments_of_rotations(dimension: int, special: bool) -> None:
    """E[R] = 0 and E[(tr R)^2] = 1 (2 on SO(2)): within 5 standard errors of 40,000 draws."""
    x = random_particles(1, 4)
    draws = 40_000
    symmetry = OrthogonalGroup(dimension, special)
    matrices = symmetry.random(x, draws, torch.Generator().manual_seed(1)).matrix[0]
    identity = torch.eye(dimension, dtype=torch.float64).expand_as(matrices)
    torch.testing.assert_close(matrices.mT @ matrices, identity, atol=1e-10, rtol=0)
    determinant = torch.linalg.det(matrices)
    assert (determinant > 0).all() if special else abs(determinant.mean().item()) < 5 / draws**0.5
    assert (matrices.mean(0).abs() < 5 * matrices.std(0) / draws**0.5).all()
    squares = matrices.diagonal(dim1=-2, dim2=-1).sum(-1).square()
    expected = 2.0 if special and dimension == 2 else 1.0
    assert abs(squares.mean() - expected) < 5 * squares.std() / draws**0.5


def test_haar_permutations_are_uniform() -> None:
    """All 24 permutations of 4 nodes equally often: chi-squared below its 99.9 % point (23 degrees of freedom)."""
    x = random_graphs(1, 4, padded=False)
    draws = 24_000
    images = SymmetricGroup().random(x, draws, torch.Generator().manual_seed(2)).images[0]
    counts = (images * torch.tensor([64, 16, 4, 1])).sum(-1).unique(return_counts=True)[1]
    assert len(counts) == math.factorial(4)
    expected = draws / 24
    assert ((counts - expected) ** 2 / expected).sum() < 49.7


@pytest.mark.parametrize("names", [("E(3)",), ("S_n", "SE(3)")])
def test_group_averaging_takes_translations_to_the_centroid(names: tuple[str, ...]) -> None:
    x, symmetry = random_particles(3, 5), group(names)
    element = symmetry.uniform(x, symmetry.noise(x, 4, None))
    torch.testing.assert_close(x.acted(element.inverse()).centroid, torch.zeros(12, 3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["S_m", "O", "E(x)", "GL(3)", ""])
def test_unknown_groups_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"no group '{name}'".replace("(", r"\(").replace(")", r"\)")):
        group((name,))


def test_products_name_their_factors() -> None:
    symmetry: Group = group(("S_n", "E(3)"))
    assert symmetry.name == "S_n x E(3)"
    assert group(("SO(2)",)).name == "SO(2)"
