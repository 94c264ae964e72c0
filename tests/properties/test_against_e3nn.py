"""Actions, samplers and equivariant networks against e3nn's irreducible representations of O(3).

e3nn's components of l = 1 are x, y, z, as in our points and vectors; those of l = 2 have a basis of its own, which only
e3nn's functions ever see here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from e3nn import o3
from torch import Tensor

from baselines.build import build_network, build_sampler
from baselines.catalogue import BASES, EQUIVARIANT, SAMPLERS
from tasks.symmetry.element import Element, LinearMap, Permutation, Product, Rigid
from tasks.symmetry.groups import GeometricGroup, group
from tasks.symmetry.orthogonalization import gram_schmidt
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_particles

DRAWS = 20_000
IRREPS = o3.Irreps("1x0e + 1x1o + 1x2e + 1x3o")
CARDS = {card.name: card for card in (*BASES, *EQUIVARIANT)}


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """e3nn computes its constants in torch's default precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matrix_of(element: Element) -> Tensor:
    """``[B, K, 3, 3]``: what acts on vectors."""
    if isinstance(element, Product):
        element = next(factor for factor in element.factors if not isinstance(factor, Permutation))
    assert isinstance(element, LinearMap | Rigid)
    return element.matrix


def rotations(batch: int, reflected: bool = False) -> Tensor:
    """``[B, 1, 3, 3]``: random rotations of e3nn's, with a reflection behind where ``reflected``."""
    matrix = o3.rand_matrix(batch)[:, None]
    return -matrix if reflected else matrix


@pytest.mark.parametrize("name", ["O(3)", "SO(3)"])
def test_vectors_are_the_irreducible_representation_of_degree_one(name: str) -> None:
    x = random_particles(4, 5)
    g = group((name,)).random(x, 3, chance(0))
    d = o3.Irreps("1x1o").D_from_matrix(matrix_of(g))
    expected = torch.einsum("bkij,bnjv->bkniv", d, x.vectors).flatten(0, 1)
    torch.testing.assert_close(x.acted(g).vectors, expected)
    harmonics = o3.spherical_harmonics(1, x.vectors[..., 0], normalize=True, normalization="norm")
    torch.testing.assert_close(harmonics, torch.nn.functional.normalize(x.vectors[..., 0], dim=-1))


def test_composition_and_inverse_are_those_of_the_representation() -> None:
    x = random_particles(2, 4)
    g, h = (group(("O(3)",)).random(x, 3, chance(seed)) for seed in (7, 8))

    def d(element: Element) -> Tensor:
        return IRREPS.D_from_matrix(matrix_of(element))

    torch.testing.assert_close(d(g.compose(h)), d(g) @ d(h), rtol=0, atol=1e-9)
    torch.testing.assert_close(d(g.inverse()), d(g).mT, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["O(3)", "SO(3)", "E(3)", "SE(3)"])
def test_haar_measure_obeys_schur(name: str) -> None:
    """E[D_ij D_kl] = delta_ik delta_jl / (2l + 1) within a representation, 0 across: all within 5 standard errors.

    On SO(3) up to l = 3, and on O(3), where a pseudovector has nothing to do with a vector.
    """
    x = random_particles(1, 5)
    symmetry = group((name,))
    drawn = symmetry.uniform(x, symmetry.noise(x, DRAWS, chance(1)))
    irreps = IRREPS + o3.Irreps("1x1e") if not name.startswith("S") else IRREPS
    blocks = [o3.Irreps([(1, ir)]).D_from_matrix(matrix_of(drawn)[0]).flatten(1) for _, ir in irreps]
    for row, d in enumerate(blocks):
        for column, other in enumerate(blocks[: row + 1]):
            mean = d.T @ other / DRAWS
            second = d.square().T @ other.square() / DRAWS
            size = round(d.shape[1] ** 0.5)
            expected = torch.eye(size * size) / size if row == column else torch.zeros_like(mean)
            error = ((second - mean.square()).clamp_min(0) / DRAWS).sqrt()
            assert ((mean - expected).abs() <= 5 * error + 1e-9).all()


def test_a_biased_law_does_not_obey_schur() -> None:
    """The test above can fail: rotations by Gaussian Euler angles."""
    d = o3.Irreps("1x2e").D_from_angles(*torch.randn(3, DRAWS, generator=chance(2))).flatten(1)
    mean = d.T @ d / DRAWS
    error = ((d.square().T @ d.square() / DRAWS - mean.square()).clamp_min(0) / DRAWS).sqrt()
    assert ((mean - torch.eye(25) / 5).abs() > 20 * error).any()


class TensorProducts(torch.nn.Module):
    """An equivariant function written with e3nn alone: of all pairs of nodes and their vectors, a mean of products."""

    OUT = o3.Irreps("2x0e + 1x0o + 2x1o + 1x1e + 2x2e")

    def __init__(self) -> None:
        super().__init__()
        self.harmonics = o3.Irreps("1x0e + 1x1o + 1x2e")
        end = o3.Irreps("1x1o + 1x0e")
        self.first = o3.FullyConnectedTensorProduct(self.harmonics, end, self.OUT)
        self.second = o3.FullyConnectedTensorProduct(self.OUT, end, self.OUT)

    def forward(self, x: Structure) -> Tensor:
        points = x.points[..., 0]
        away = points[:, :, None] - points[:, None]
        harmonics = o3.spherical_harmonics(self.harmonics, away, normalize=False)
        edges = x.edge_scalars[..., :1]
        one = torch.cat([x.vectors[..., 0][:, :, None].expand_as(away), edges], -1)
        other = torch.cat([x.vectors[..., 0][:, None].expand_as(away), edges], -1)
        return self.second(self.first(harmonics, one), other).mean((1, 2))


@pytest.mark.parametrize("names", [("O(3)",), ("SO(3)",), ("E(3)",), ("SE(3)",), ("S_n", "E(3)")], ids=" x ".join)
def test_a_function_of_e3nn_moves_with_structures_as_e3nn_says(names: tuple[str, ...]) -> None:
    x = random_particles(6, 5)
    function = TensorProducts()
    g = group(names).random(x, 1, chance(3))
    d = TensorProducts.OUT.D_from_matrix(matrix_of(g)[:, 0])
    expected = (d @ function(x)[..., None]).squeeze(-1)
    torch.testing.assert_close(function(x.acted(g)), expected, atol=1e-9, rtol=1e-9)
    for columns in TensorProducts.OUT.slices():
        assert expected[:, columns].abs().max() > 1e-3
    assert (function(x) - expected).abs().max() > 0.1


@pytest.mark.parametrize("reflected", [False, True])
def test_orthonormalisation_commutes_with_rotations_of_e3nn(reflected: bool) -> None:
    frames = torch.randn(6, 4, 3, 3, generator=chance(4))
    turn = rotations(6, reflected)
    for special in (False, True):
        found, expected = gram_schmidt(turn @ frames, special), turn @ gram_schmidt(frames, special)
        if special and reflected:  # no rotation is a reflection of another
            assert (torch.linalg.det(found) > 0).all() and (torch.linalg.det(expected) < 0).all()
        else:
            torch.testing.assert_close(found, expected)
    angles = o3.matrix_to_angles(gram_schmidt(frames, special=True))
    torch.testing.assert_close(o3.angles_to_matrix(*angles), gram_schmidt(frames, special=True))


@pytest.mark.parametrize("reflected", [False, True])
@pytest.mark.parametrize("head", ["O(3)", "E(3)"])
def test_the_heads_of_groups_move_with_rotations_of_e3nn(head: str, reflected: bool) -> None:
    x = random_particles(6, 5)
    symmetry = group((head,))
    assert isinstance(symmetry, GeometricGroup)
    frame = torch.randn(6, 2, 3, 3, generator=chance(5))
    turn = rotations(6, reflected)
    moved = symmetry.head(x.acted(LinearMap(turn)), turn @ frame)
    torch.testing.assert_close(matrix_of(moved), turn @ matrix_of(symmetry.head(x, frame)))


@pytest.mark.parametrize("reflected", [False, True])
def test_q_moves_with_rotations_of_e3nn(reflected: bool) -> None:
    """Vector neurons: matrices turn with input and noise, scores stay as they are."""
    x = random_particles(6, 5)
    card = next(card for card in SAMPLERS if card.name == "ps")
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    q = build_sampler(card, group(("S_n", "O(3)")), signature, {}).eval()
    vectors, ties, ranks = q.noise(x, 3, chance(6))
    turn = rotations(6, reflected)
    moved_noise = (turn[:, :, None] @ vectors, ties, turn @ ranks)
    here, there = (
        q.network(structure, noise, 1.0)
        for structure, noise in ((x, (vectors, ties, ranks)), (x.acted(LinearMap(turn)), moved_noise))
    )
    torch.testing.assert_close(there.matrix, turn @ here.matrix)
    torch.testing.assert_close(there.scores, here.scores)
    assert here.matrix.std() > 1e-3 and here.scores.std() > 1e-3


@pytest.mark.parametrize("name", ["egnn", "vector_neurons", "tfn", "radial_field", "fa_gnn"])
def test_networks_move_with_rotations_of_e3nn(name: str) -> None:
    x = random_particles(6, 5)
    card = CARDS[name]
    model = build_network(card, Signature.of(x, Representation.NODE_POINTS, 1), {}).double().eval()
    turn = rotations(6, reflected=True)
    found = model(x.acted(LinearMap(turn)))
    torch.testing.assert_close(found, turn @ model(x), atol=1e-6, rtol=1e-6)
