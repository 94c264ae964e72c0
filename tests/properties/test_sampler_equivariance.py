"""Every sampler's law moves with its input: p(g' g given g' x) = p(g given x)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torch import Tensor

from baselines.build import build_sampler
from baselines.catalogue import SAMPLERS
from baselines.samplers.frame_averaging import FrameAveraging
from baselines.samplers.graph_ranks import spectral_signature
from baselines.samplers.probabilistic import ProbabilisticSymmetrization
from baselines.samplers.sampler import Sampler
from tasks.symmetry.element import Element, LinearMap, Permutation, Product, Rigid
from tasks.symmetry.groups import group
from tasks.symmetry.noise import Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import cycle, random_graphs, random_particles

CARDS = {card.name: card for card in SAMPLERS}
EUCLIDEAN = [("O(3)",), ("SO(3)",), ("E(3)",), ("SE(3)",)]
PRODUCTS = [("S_n", "E(3)"), ("S_n", "SO(3)")]


def sampler(name: str, names: tuple[str, ...], x: Structure, **params: object) -> Sampler:
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    card = CARDS[name]
    built = build_sampler(card, group(names), signature, params)
    return built.to(torch.float64).eval()


def moved_noise(element: Element, noise: Noise) -> Noise:
    """The noise of a geometric q, moved as the input is: vectors turn, per-node parts follow their nodes."""
    vectors, ties, ranks = noise
    turned_vectors = element.act(vectors, Representation.NODE_VECTORS)
    ties = element.act(ties[..., None], Representation.NODE_SCALARS)[..., 0]
    linear = element.factors[-1] if isinstance(element, Product) else element
    turned = linear.act(ranks[:, :, None], Representation.NODE_VECTORS)[:, :, 0]
    return turned_vectors, ties, turned


def assert_elements_close(one: Element, other: Element, tolerance: float = 1e-10) -> None:
    if isinstance(one, Product):
        assert isinstance(other, Product)
        for a, b in zip(one.factors, other.factors, strict=True):
            assert_elements_close(a, b, tolerance)
    elif isinstance(one, Permutation):
        assert isinstance(other, Permutation)
        assert torch.equal(one.images, other.images)
    else:
        assert isinstance(one, LinearMap | Rigid) and isinstance(other, LinearMap | Rigid)
        torch.testing.assert_close(one.matrix, other.matrix, atol=tolerance, rtol=0)
        if isinstance(one, Rigid) and isinstance(other, Rigid):
            torch.testing.assert_close(one.translation, other.translation, atol=tolerance, rtol=0)


@pytest.mark.parametrize("names", EUCLIDEAN + PRODUCTS)
@pytest.mark.parametrize("kind", ["ps", "canonical"])
@given(seed=st.integers(0, 2**31))
def test_geometric_q_is_equivariant_jointly_in_input_and_noise(names: tuple[str, ...], kind: str, seed: int) -> None:
    """q(g x, g eps) = g q(x, eps), which gives an equivariant law because the law of eps is invariant."""
    torch.manual_seed(seed)
    x = random_particles(3, 5, seed=seed % 1000)
    learned = sampler(kind, names, x)
    noise = learned.noise(x, 2, None)
    g = learned.group.random(x, 1, None)
    of_moved = learned(x.acted(g), moved_noise(g, noise)).element
    assert_elements_close(of_moved, g.compose(learned(x, noise).element), 1e-8)


@given(seed=st.integers(0, 2**31))
def test_graph_q_is_equivariant_jointly_in_input_and_noise(seed: int) -> None:
    torch.manual_seed(seed)
    x = random_graphs(3, 7, seed=seed % 1000)
    learned = sampler("ps", ("S_n",), x)
    features, ties = learned.noise(x, 2, None)
    g = learned.group.random(x, 1, None)
    assert isinstance(g, Permutation)
    moved = (g.act(features, Representation.NODE_SCALARS), g.act(ties[..., None], Representation.NODE_SCALARS)[..., 0])
    of_moved = learned(x.acted(g), moved).element
    expected = g.compose(learned(x, (features, ties)).element)
    assert isinstance(of_moved, Permutation)
    assert torch.equal(*(p.images.masked_fill(~x.mask[:, None], 0) for p in (of_moved, expected)))


@pytest.mark.parametrize("kind", ["ga", "ps", "fa"])
@pytest.mark.parametrize("names", [("E(3)",), ("S_n", "SO(3)")])
def test_the_law_moves_with_the_input(kind: str, names: tuple[str, ...]) -> None:
    """Two-sample tests on the entries of the matrices of p(. | g x) and of g times p(. | x): none below 0.001 / 9."""
    x = random_particles(1, 5)
    built = sampler(kind, names, x, **({"exact": False} if kind == "fa" else {}))
    g = built.group.random(x, 1, None)
    with torch.no_grad():
        of_moved = matrix_of(built(x.acted(g), built.noise(x, 4000, torch.Generator().manual_seed(1))).element)
        here = built(x, built.noise(x, 4000, torch.Generator().manual_seed(2))).element
        expected = matrix_of(g.compose(here))
    for row in range(3):
        for column in range(3):
            test = ks_2samp(of_moved[:, row, column].round(decimals=9), expected[:, row, column].round(decimals=9))
            assert test.pvalue > 0.001 / 9


def matrix_of(element: Element) -> Tensor:
    if isinstance(element, Product):
        element = element.factors[-1]
    assert isinstance(element, LinearMap | Rigid)
    return element.matrix[0]


@pytest.mark.parametrize("kind", ["ga", "fa", "ps", "canonical"])
def test_nodes_that_cannot_be_told_apart_are_treated_alike(kind: str) -> None:
    """On a cycle every node must be sent to every place equally often, whatever the order of the input."""
    x = cycle(5)
    built = sampler(kind, ("S_n",), x)
    copies = x[torch.zeros(6000, dtype=torch.long)]
    with torch.no_grad():
        element = built(copies, built.noise(copies, 1, torch.Generator().manual_seed(3))).element
    assert isinstance(element, Permutation)
    counts = torch.nn.functional.one_hot(element.images[:, 0], 5).double().sum(0)
    chi_squared = ((counts - 1200) ** 2 / 1200).sum(1)
    assert (chi_squared < 23.5).all()  # the 99.99 % point with 4 degrees of freedom


@pytest.mark.parametrize("names", EUCLIDEAN)
@given(seed=st.integers(0, 2**31))
def test_exact_frames_are_sets_that_move_with_the_points(names: tuple[str, ...], seed: int) -> None:
    x = random_particles(2, 6, seed=seed % 1000)
    frame = sampler("fa", names, x)
    g = frame.group.random(x, 1, torch.Generator().manual_seed(seed))
    of_moved = stacked(frame(x.acted(g), frame.noise(x, 99, None)).element)
    expected = stacked(g.compose(frame(x, frame.noise(x, 99, None)).element))
    assert of_moved.shape[1] == frame.fixed_samples == (4 if names[0].startswith("S") else 8)
    distance = torch.cdist(of_moved, expected)
    assert (distance.amin(1) < 1e-10).all() and (distance.amin(2) < 1e-10).all()
    assert torch.cdist(expected, expected).fill_diagonal_(1).gt(0.1).all() if len(expected) == 1 else True


def stacked(element: Element) -> Tensor:
    assert isinstance(element, LinearMap | Rigid)
    flat = element.matrix.flatten(2)
    return torch.cat([flat, element.translation], -1) if isinstance(element, Rigid) else flat


@given(seed=st.integers(0, 2**31))
def test_the_spectral_signature_moves_with_the_nodes(seed: int) -> None:
    x = random_graphs(4, 8, seed=seed % 10_000)
    g = group(("S_n",)).random(x, 1, torch.Generator().manual_seed(seed))
    moved = g.act(spectral_signature(x)[:, None], Representation.NODE_SCALARS)[:, 0]
    assert torch.equal(spectral_signature(x.acted(g)), moved)


def test_the_spectral_signature_of_a_path() -> None:
    """The path on 3 nodes: eigenvalues 0, 1, 3 with eigenvectors that are known."""
    adjacency = torch.tensor([[[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]], dtype=torch.float64)
    x = Structure.build(torch.ones(1, 3, dtype=torch.bool), edge_scalars=adjacency[..., None])
    expected = torch.tensor([[0.58, 0.71, 0.41], [0.58, 0.0, 0.82], [0.58, 0.71, 0.41]], dtype=torch.float64)
    torch.testing.assert_close(spectral_signature(x)[0], expected, atol=1e-12, rtol=0)


def test_an_eigenspace_counts_once() -> None:
    """The 5-cycle has eigenvalues of multiplicity 1, 2, 2: three columns, the same for every node."""
    signature = spectral_signature(cycle(5))[0]
    assert torch.equal(signature, signature[:1].expand_as(signature))
    assert (signature[0] > 0).tolist() == [True, True, True, False, False]


def test_the_learned_q_has_the_published_size() -> None:
    x = random_particles(1, 5)
    built = sampler("ps", ("S_n", "O(3)"), x, width=64)
    assert isinstance(built, ProbabilisticSymmetrization)
    assert sum(parameter.numel() for parameter in built.network.parameters()) == 6_897


@pytest.mark.parametrize("nodes", [1, 2, 3])
@pytest.mark.parametrize("kind", [card.name for card in SAMPLERS])
def test_few_points_give_elements_of_the_group(kind: str, nodes: int) -> None:
    """Fewer points than dimensions, one node: orthogonal matrices, not NaN."""
    x = random_particles(4, nodes)
    built = sampler(kind, ("S_n", "SO(3)"), x)
    element = built(x, built.noise(x, 3, None)).element
    assert isinstance(element, Product)
    permutation, rotation = element.factors
    assert isinstance(permutation, Permutation) and isinstance(rotation, LinearMap)
    assert torch.equal(permutation.images.sort(-1).values, torch.arange(nodes).expand_as(permutation.images))
    identity = torch.eye(3, dtype=torch.float64).expand_as(rotation.matrix)
    torch.testing.assert_close(rotation.matrix @ rotation.matrix.mT, identity, atol=1e-9, rtol=0)
    assert (torch.linalg.det(rotation.matrix) > 0).all()


def test_stochastic_frames_draw_every_element_equally_often() -> None:
    x = random_particles(1, 5)
    frame = sampler("fa", ("O(3)",), x, exact=False)
    assert isinstance(frame, FrameAveraging) and frame.fixed_samples is None
    matrices = stacked(frame(x, frame.noise(x, 8000, torch.Generator().manual_seed(0))).element)[0]
    counts = matrices.round(decimals=6).unique(dim=0, return_counts=True)[1]
    assert len(counts) == 8
    assert ((counts - 1000) ** 2 / 1000).sum() < 29.9  # the 99.99 % point with 7 degrees of freedom
