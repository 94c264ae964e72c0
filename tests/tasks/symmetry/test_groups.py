"""Group axioms, actions and Haar measure."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.symmetry.element import Affine, Element, LinearMap, Permutation, Product, Rigid
from tasks.symmetry.groups import (
    GeometricGroup,
    Group,
    NodeGroup,
    OrthogonalGroup,
    SymmetricGroup,
    UnitaryGroup,
    factors,
    group,
)
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure
from tests.structures import random_graphs, random_momenta, random_particles

GEOMETRIC = ["O(3)", "SO(3)", "E(3)", "SE(3)", "Sim(3)", "SSim(2)", "Aff(3)", "U(2)", "SU(2)", "C_5", "D_4", "B_3"]
GEOMETRIC += ["SO+(1,3)"]
ON_NODES = ["S_n", "C_n", "D_n", "trivial"]
PRODUCTS = [("S_n", "O(3)"), ("S_n", "SE(3)"), ("D_n", "Aff(3)")]
GROUPS = [(name,) for name in ON_NODES + GEOMETRIC] + PRODUCTS
REPRESENTATIONS = list(Representation)


def structures_for(symmetry: Group, batch: int = 2, seed: int = 0) -> Structure:
    """Particles of the dimension that the group acts on, of momenta that have a rest frame in space-time."""
    if symmetry.name == "SO+(1,3)":
        return random_momenta(batch, 5, seed)
    dimension = next((f.dimension for f in factors(symmetry) if isinstance(f, GeometricGroup)), 3)
    return random_particles(batch, 5, seed, dimension=dimension)


def values_of(x: Structure, representation: Representation) -> Tensor:
    batch, nodes, dimension, _ = x.points.shape
    shapes = {
        Representation.GRAPH_SCALARS: (batch, 1, 4),
        Representation.NODE_SCALARS: (batch, 1, nodes, 2),
        Representation.NODE_POINTS: (batch, 1, nodes, dimension, 2),
        Representation.NODE_VECTORS: (batch, 1, nodes, dimension, 2),
        Representation.EDGE_SCALARS: (batch, 1, nodes, nodes, 2),
    }
    return torch.randn(shapes[representation], dtype=torch.float64)


def parts(element: Element) -> list[Tensor]:
    if isinstance(element, Product):
        return [part for factor in element.factors for part in parts(factor)]
    if isinstance(element, Permutation):
        return [element.images.double()]
    if isinstance(element, Affine):
        return [element.matrix, element.translation]
    assert isinstance(element, LinearMap)
    return [element.matrix]


def assert_same(one: Element, other: Element) -> None:
    close(one, other, 1e-12)


def close(one: Element, other: Element, tolerance: float) -> None:
    assert type(one) is type(other)
    for a, b in zip(parts(one), parts(other), strict=True):
        torch.testing.assert_close(*torch.broadcast_tensors(a, b), atol=tolerance, rtol=0)


@pytest.mark.parametrize("names", GROUPS)
@given(seed=st.integers(0, 2**31))
def test_axioms(names: tuple[str, ...], seed: int) -> None:
    symmetry = group(names)
    x = structures_for(symmetry)
    a, b, c = (symmetry.random(x, 3, torch.Generator().manual_seed(seed + i)) for i in range(3))
    identity = symmetry.identity(x)
    assert_same(a.compose(b).compose(c), a.compose(b.compose(c)))
    assert_same(a.compose(a.inverse()), identity)
    assert_same(a.inverse().compose(a), identity)
    assert_same(a.compose(identity), a)
    assert_same(a.compose(b).inverse(), b.inverse().compose(a.inverse()))


@pytest.mark.parametrize("names", GROUPS)
@given(seed=st.integers(0, 2**31), representation=st.sampled_from(REPRESENTATIONS))
def test_actions_are_homomorphisms(names: tuple[str, ...], seed: int, representation: Representation) -> None:
    symmetry = group(names)
    x = structures_for(symmetry)
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


@pytest.mark.parametrize("names", GROUPS)
def test_nodes_that_do_not_exist_stay_zero_and_count_nowhere(names: tuple[str, ...]) -> None:
    """Moved by any element, and moved to rest; what moves to rest is that of the structure alone."""
    symmetry = group(names)
    alone = structures_for(symmetry)
    x = alone.padded(8)
    moved = x.acted(symmetry.random(x, 3, torch.Generator().manual_seed(1)))
    for values in (moved.points, moved.vectors, moved.node_scalars, moved.edge_scalars, moved.edge_scalars.mT):
        assert not values[~moved.mask].any()
    torch.testing.assert_close(x.centroid, alone.centroid)
    for factor in factors(symmetry):
        if isinstance(factor, GeometricGroup):
            close(factor.rest_frame(x), factor.rest_frame(alone), 1e-12)
            at_rest = x.acted(factor.rest_frame(x).inverse())
            assert not at_rest.points[~x.mask].any() and not factor.geometry_at_rest(x)[~x.mask].any()


def test_what_elements_make_of_a_structure_keeps_its_key() -> None:
    x = replace(random_graphs(3, 5), key=torch.tensor([7, 2, 9]))
    g = group(("S_n",)).random(x, 2, torch.Generator().manual_seed(1))
    assert x.acted(g).key.tolist() == x.repeated(2).key.tolist() == [7, 7, 2, 2, 9, 9]


def test_points_move_under_translations_and_vectors_do_not() -> None:
    x = random_particles(2, 5)
    g = Rigid(torch.eye(3, dtype=torch.float64).expand(2, 1, 3, 3), torch.ones(2, 1, 3, dtype=torch.float64))
    moved = x.acted(g)
    torch.testing.assert_close(moved.points, x.points + 1)
    torch.testing.assert_close(moved.vectors, x.vectors)
    torch.testing.assert_close(moved.geometry, x.geometry)


@pytest.mark.parametrize("name", GEOMETRIC)
@given(seed=st.integers(0, 2**31))
def test_heads_are_equivariant(name: str, seed: int) -> None:
    """From a frame that moves with x, and from one that is seen from the rest frame of x."""
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    x = structures_for(symmetry, seed=seed % 1000)
    noise = torch.Generator().manual_seed(seed)
    g = symmetry.random(x, 1, noise)
    moved = x.acted(g)
    frame = torch.randn(2, 3, symmetry.dimension, symmetry.dimension, generator=noise, dtype=torch.float64)
    expected = g.compose(symmetry.head(x, frame))
    close(symmetry.head(moved, turned(g, frame)), expected, 1e-10)

    left_over = symmetry.rest_frame(moved).inverse().compose(g).compose(symmetry.rest_frame(x))
    expected = g.compose(symmetry.head_at_rest(x, frame))
    close(symmetry.head_at_rest(moved, turned(left_over, frame)), expected, 1e-10)


def turned(g: Element, frame: Tensor) -> Tensor:
    return g.act(frame[:, :, None], Representation.NODE_VECTORS)[:, :, 0]


@pytest.mark.parametrize("name", GEOMETRIC)
@given(seed=st.integers(0, 2**31))
def test_a_network_equivariant_under_rotations_canonicalizes_at_rest(name: str, seed: int) -> None:
    """Whatever the group, a frame that O(D)-equivariant formulas make of ``h(x)^-1 x`` is enough."""
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    x = structures_for(symmetry, seed=seed % 1000)
    g = symmetry.random(x, 1, torch.Generator().manual_seed(seed))

    def canonicalization(x: Structure) -> Element:
        vectors = x.acted(symmetry.rest_frame(x).inverse()).geometry.transpose(2, 3).flatten(1, 2)
        lengths = vectors.norm(dim=-1, keepdim=True)
        columns = [(vectors * (power * lengths).cos()).mean(1) for power in range(1, symmetry.dimension + 1)]
        return symmetry.head_at_rest(x, torch.stack(columns, -1)[:, None])

    close(canonicalization(x.acted(g)), g.compose(canonicalization(x)), 1e-10)


@pytest.mark.parametrize("name", ["O(3)", "SO(3)", "SE(3)", "Sim(3)", "Aff(3)", "U(2)", "SU(2)", "SO+(1,3)"])
def test_heads_have_true_gradients(name: str) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    x = structures_for(symmetry, batch=1)
    frame = torch.randn(1, 2, symmetry.dimension, symmetry.dimension, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda frame: parts(symmetry.head(x, frame))[0], frame)


@pytest.mark.parametrize("name", ON_NODES)
@given(seed=st.integers(0, 2**31))
def test_heads_on_nodes_are_equivariant(name: str, seed: int) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, NodeGroup)
    x = random_graphs(3, 6, seed=seed % 1000)
    noise = torch.Generator().manual_seed(seed)
    g = symmetry.random(x, 1, noise)
    scores = torch.randn(3, 4, 6, generator=noise, dtype=torch.float64)
    moved = g.act(scores[..., None], Representation.NODE_SCALARS).squeeze(-1)
    close(symmetry.head(x.acted(g), moved), g.compose(symmetry.head(x, scores)), 0)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_what_a_rest_frame_leaves_is_orthogonal(name: str) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    x = structures_for(symmetry, batch=20)
    g = symmetry.random(x, 1, torch.Generator().manual_seed(3))
    left_over = symmetry.rest_frame(x.acted(g)).inverse().compose(g).compose(symmetry.rest_frame(x))
    matrix, *translation = parts(left_over)
    torch.testing.assert_close(matrix.mT @ matrix, torch.eye(symmetry.dimension, dtype=torch.float64).expand_as(matrix))
    for values in translation:
        torch.testing.assert_close(values, torch.zeros_like(values), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", [name for name in GEOMETRIC if name != "Aff(3)"])
def test_group_averaging_stays_in_the_group(name: str) -> None:
    """Its elements, the random ones and the heads all pass the group's own test."""
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    x = structures_for(symmetry, batch=4)
    noise = symmetry.noise(x, 50, torch.Generator().manual_seed(4))
    random = symmetry.random(x, 50, torch.Generator().manual_seed(5))
    for element in (symmetry.uniform(x, noise), symmetry.head(x, noise[0]), random):
        assert_belongs(name, parts(element)[0])


def assert_belongs(name: str, matrix: Tensor) -> None:
    def same(one: Tensor, other: Tensor) -> None:
        torch.testing.assert_close(one, other.expand_as(one), atol=1e-10, rtol=1e-10)

    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    if name == "SO+(1,3)":
        form = torch.diag(torch.tensor([1.0, -1, -1, -1], dtype=matrix.dtype))
        same(matrix.mT @ form @ matrix, form)
        assert (matrix[..., 0, 0] >= 1).all()
    elif "Sim" in name:
        scale = (matrix.mT @ matrix)[..., :1, :1]
        assert (scale > 0).all()
        same(matrix.mT @ matrix, scale * identity)
    else:
        same(matrix.mT @ matrix, identity)
    if name in ("SO(3)", "SE(3)", "SSim(2)", "SU(2)", "C_5", "SO+(1,3)"):
        assert (torch.linalg.det(matrix) > 0).all()
    if "U(" in name:
        half = matrix.shape[-1] // 2
        times_i = torch.cat([-identity[half:], identity[:half]])
        same(times_i @ matrix, matrix @ times_i)
    if name == "SU(2)":
        same(torch.linalg.det(complex_matrix(matrix)), torch.ones((), dtype=torch.complex128))
    if name == "B_3":
        same(matrix.abs().sum(-1), torch.ones((), dtype=matrix.dtype))
        same(matrix.abs().amax(-1), torch.ones((), dtype=matrix.dtype))
    if name[:2] in ("C_", "D_"):
        turns = torch.atan2(matrix[..., 1, 0], matrix[..., 0, 0]) * int(name[2:]) / (2 * math.pi)
        same(turns, turns.round())


def complex_matrix(matrix: Tensor) -> Tensor:
    half = matrix.shape[-1] // 2
    return torch.complex(matrix[..., :half, :half], matrix[..., half:, :half])


def test_lorentz_boosts_to_rest_and_leaves_other_momenta_alone() -> None:
    symmetry = group(("SO+(1,3)",))
    assert isinstance(symmetry, GeometricGroup)
    x = random_momenta(5, 4)
    at_rest = x.acted(symmetry.rest_frame(x).inverse()).vectors.sum((1, 3))
    assert (at_rest[:, 0] > 0).all()
    torch.testing.assert_close(at_rest[:, 1:], torch.zeros(5, 3, dtype=torch.float64), atol=1e-12, rtol=0)
    spacelike = replace(x, vectors=x.vectors.flip(2))
    spacelike.vectors[:, :, 0] = 0
    assert_same(symmetry.rest_frame(spacelike), symmetry.identity(x))


@pytest.mark.parametrize("name", ["E(3)", "Sim(3)", "Aff(3)"])
def test_at_rest_points_are_centred_scaled_and_white(name: str) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    x = random_particles(3, 6)
    seen = x.acted(symmetry.rest_frame(x).inverse())
    torch.testing.assert_close(seen.centroid, torch.zeros_like(seen.centroid), atol=1e-12, rtol=0)
    if name == "Sim(3)":
        torch.testing.assert_close(seen.points.square().sum((1, 2, 3)) / 6, torch.ones(3, dtype=torch.float64))
    if name == "Aff(3)":
        vectors = seen.geometry.transpose(2, 3).flatten(1, 2)
        moments = vectors.mT @ vectors / vectors.shape[1]
        torch.testing.assert_close(moments, torch.eye(3, dtype=torch.float64).expand_as(moments))


@pytest.mark.parametrize("name", ["Sim(3)", "Aff(3)", "SO+(1,3)"])
@pytest.mark.parametrize("rank", [0, 1])
def test_degenerate_inputs_have_finite_elements(name: str, rank: int) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    line = torch.arange(4, dtype=torch.float64)[:, None, None] * rank * torch.ones(symmetry.dimension, 1).double()
    x = Structure.build(torch.ones(1, 4, dtype=torch.bool), points=line[None] + 1)
    element = symmetry.head_at_rest(x, torch.randn(1, 2, symmetry.dimension, symmetry.dimension).double())
    assert all(part.isfinite().all() for part in parts(element) + parts(element.inverse()))
    assert all(part.isfinite().all() for part in (x.acted(element.inverse()).points, x.acted(element).points))


def test_the_affine_group_says_that_it_has_no_haar_measure() -> None:
    symmetry, x = group(("S_n", "Aff(3)")), random_particles(2, 5)
    with pytest.raises(ValueError, match=r"Aff\(3\) has no Haar probability measure.*or probabilistic"):
        symmetry.noise(x, 2, None)


@pytest.mark.parametrize(
    "name", ["O(2)", "O(3)", "O(5)", "SO(2)", "SO(3)", "SO(5)", "U(1)", "U(2)", "U(3)", "SU(2)", "SU(3)"]
)
def test_haar_moments(name: str) -> None:
    """E[R] = 0 and E[|tr R|^2] = 1 (2 on SO(2)): within 5 standard errors of 40,000 draws."""
    symmetry = group((name,))
    assert isinstance(symmetry, OrthogonalGroup | UnitaryGroup)
    x = random_particles(1, 4, dimension=symmetry.dimension)
    draws = 40_000
    matrices = symmetry.random(x, draws, torch.Generator().manual_seed(1)).matrix[0]
    if isinstance(symmetry, UnitaryGroup):
        matrices = complex_matrix(matrices)
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype).expand_as(matrices)
    torch.testing.assert_close(matrices.mH @ matrices, identity, atol=1e-10, rtol=0)
    determinant = torch.linalg.det(matrices)
    expected_determinant = 1.0 if symmetry.special else 0.0
    assert (determinant.mean() - expected_determinant).abs() < 5 / draws**0.5
    assert (matrices.mean(0).abs() < 5 * matrices.std(0) / draws**0.5).all()
    squares = matrices.diagonal(dim1=-2, dim2=-1).sum(-1).abs().square()
    expected = 2.0 if name == "SO(2)" else 1.0
    assert (squares.mean() - expected).abs() <= 5 * squares.std() / draws**0.5 + 1e-10


# Each with its number of elements and the 99.9 % point of chi-squared for one degree of freedom less.
@pytest.mark.parametrize(
    ("name", "order", "limit"),
    [
        ("S_n", 24, 49.7),
        ("C_n", 4, 16.3),
        ("D_n", 8, 24.3),
        ("C_5", 5, 18.5),
        ("D_4", 8, 24.3),
        ("D_1", 2, 10.8),
        ("B_3", 48, 82.7),
    ],
)
def test_finite_groups_are_drawn_uniformly(name: str, order: int, limit: float) -> None:
    """All elements (of S_4 and its subgroups, on nodes) equally often: chi-squared below its 99.9 % point."""
    symmetry = group((name,))
    x = replace(structures_for(symmetry, batch=1)[:1], mask=torch.tensor([[True] * 4 + [False]]))
    draws = 1_000 * order
    element = symmetry.random(x, draws, torch.Generator().manual_seed(2))
    values = parts(element)[0][0].flatten(1)
    distinct, counts = values.round(decimals=6).add(0.0).unique(dim=0, return_counts=True)
    assert len(distinct) == order
    assert ((counts - 1_000) ** 2 / 1_000).sum() < limit


@pytest.mark.parametrize("names", [("E(3)",), ("S_n", "SE(3)")])
def test_group_averaging_takes_translations_to_the_centroid(names: tuple[str, ...]) -> None:
    x, symmetry = random_particles(3, 5), group(names)
    element = symmetry.uniform(x, symmetry.noise(x, 4, None))
    torch.testing.assert_close(x.acted(element.inverse()).centroid, torch.zeros(12, 3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["S_m", "O", "E(x)", "GL(3)", "", "C_0", "D_m", "SO+(1,4)", "O(3)3", "B(3)", "O(#)"])
def test_unknown_groups_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"no group '{name}'")):
        group((name,))


@pytest.mark.parametrize("names", GROUPS)
def test_names_are_read_back(names: tuple[str, ...]) -> None:
    symmetry = group(names)
    assert tuple(factor.name for factor in factors(symmetry)) == names
    assert symmetry.name == " x ".join(names)
