"""Frames where points leave the axes open: laws that move with the input, never NaN."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from baselines.build import build
from baselines.catalogue import FRAME_AVERAGING
from baselines.samplers.frame_averaging import FrameAveraging, chosen_signs
from harness.registry import method
from tasks.symmetry.element import LinearMap, Permutation, Rigid
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

CUBE = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
SQUARE = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
PLACE = torch.tensor([0.3, -2.0, 5.0], dtype=torch.float64)
DEGENERATE = {
    "all eigenvalues equal": CUBE + PLACE,
    "two eigenvalues equal": SQUARE + PLACE,
    "two nodes in three dimensions": torch.tensor([[0.0, 0, 0], [1, 2, 3]], dtype=torch.float64) + PLACE,
    "one node": PLACE[None],
    "all nodes in one place": PLACE.expand(6, 3),
}
EUCLIDEAN = ["O(3)", "SO(3)", "E(3)", "SE(3)"]


def structure(points: Tensor) -> Structure:
    """Particles at rest."""
    return Structure.build(
        torch.ones(1, len(points), dtype=torch.bool),
        points=points[None, ..., None],
        vectors=torch.zeros(1, len(points), 3, 1, dtype=torch.float64),
        edge_scalars=torch.zeros(1, len(points), len(points), 1, dtype=torch.float64),
    )


def frame(x: Structure, name: str, **params: object) -> FrameAveraging:
    signature = Signature.of(x, Representation.NODE_POINTS, 1)
    return FrameAveraging(group((name,)), signature, FRAME_AVERAGING.settings_from(params))


def matrices(sampler: FrameAveraging, x: Structure, samples: int, seed: int) -> Tensor:
    element = sampler(x, sampler.noise(x, samples, torch.Generator().manual_seed(seed))).element
    assert isinstance(element, LinearMap | Rigid)
    return element.matrix[0]


@pytest.mark.parametrize("name", EUCLIDEAN)
@pytest.mark.parametrize("kind", DEGENERATE)
def test_elements_are_of_the_group_and_their_law_moves_with_the_points(kind: str, name: str) -> None:
    x = structure(DEGENERATE[kind])
    sampler = frame(x, name, exact=False)
    g = sampler.group.random(x, 1, torch.Generator().manual_seed(3))
    assert isinstance(g, LinearMap | Rigid)
    of_moved = matrices(sampler, x.acted(g), 4000, seed=1)
    expected = g.matrix[0] @ matrices(sampler, x, 4000, seed=2)
    identity = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(of_moved @ of_moved.mT, identity.expand(4000, 3, 3), atol=1e-10, rtol=0)
    if name.startswith("S"):
        assert (torch.linalg.det(of_moved) > 0).all()
    for row, column in itertools.product(range(3), repeat=2):
        pair = (part[:, row, column].round(decimals=9).numpy() for part in (of_moved, expected))
        assert ks_2samp(*pair).pvalue > 1e-3 / 9


TOO_FEW = [
    *itertools.product(["two nodes in three dimensions", "one node", "all nodes in one place"], ["E(3)", "SE(3)"]),
    *itertools.product(["one node"], ["O(3)", "SO(3)"]),
]


@pytest.mark.parametrize(("kind", "name"), TOO_FEW)
def test_an_exact_frame_stays_exact_where_points_are_too_few(kind: str, name: str) -> None:
    """What lies off their span is not seen, and cancels over the signs."""
    x = structure(DEGENERATE[kind])
    card = method("gnn-fa")
    assert card.sampler is not None
    signature = Signature.of(x, Representation.NODE_POINTS, 1)
    model = build(card, signature, (name,), card.base.params, card.sampler.params).double().eval()
    g = group((name,)).random(x, 1, torch.Generator().manual_seed(4))
    moved = model(x.acted(g), 1, torch.Generator().manual_seed(5)).value
    expected = g.act(model(x, 1, torch.Generator().manual_seed(6)).value[:, None], Representation.NODE_POINTS)[:, 0]
    torch.testing.assert_close(moved, expected, atol=1e-10, rtol=0)


def test_all_of_the_group_where_nothing_is_known() -> None:
    """One node: Haar measure, for which the square of the trace has mean 1."""
    x = structure(DEGENERATE["one node"])
    traces = matrices(frame(x, "E(3)", exact=False), x, 20_000, seed=1).diagonal(dim1=-2, dim2=-1).sum(-1)
    assert traces.mean().abs() < 0.05 and (traces.square().mean() - 1).abs() < 0.06


@pytest.mark.parametrize("nodes", [1, 4])
def test_nodes_of_an_empty_graph_come_in_any_order(nodes: int) -> None:
    x = Structure.build(
        torch.ones(1, nodes, dtype=torch.bool),
        node_scalars=torch.ones(1, nodes, 1, dtype=torch.float64),
        edge_scalars=torch.zeros(1, nodes, nodes, 1, dtype=torch.float64),
    )
    sampler = frame(x, "S_n")
    element = sampler(x, sampler.noise(x, 4000, torch.Generator().manual_seed(1))).element
    assert isinstance(element, Permutation)
    counts = torch.nn.functional.one_hot(element.images[0], nodes).double().sum(0)
    assert ((counts - 4000 / nodes) ** 2 / (4000 / nodes)).sum(1).max() < 21.1  # 99.99 %, 3 degrees of freedom


def test_a_generic_frame_is_the_same_whatever_the_noise() -> None:
    x = structure(torch.randn(6, 3, dtype=torch.float64))
    sampler = frame(x, "SE(3)")
    assert torch.equal(matrices(sampler, x, 1, seed=1), matrices(sampler, x, 1, seed=2))
    assert sampler.deterministic


@pytest.mark.parametrize(("axes", "special"), [(1, False), (2, True), (3, False), (3, True), (6, False), (6, True)])
def test_signs_are_all_choices_in_order(axes: int, special: bool) -> None:
    every = [s for s in itertools.product((1.0, -1.0), repeat=axes) if not special or s.count(-1.0) % 2 == 0]
    middles = (torch.arange(len(every)) + 0.5) / len(every)
    torch.testing.assert_close(chosen_signs(middles[None], axes, special)[0], torch.tensor(every))


def test_signs_of_many_axes_are_as_likely_as_their_opposites() -> None:
    signs = chosen_signs(torch.rand(1, 20_000), 20)[0]
    assert signs.mean(0).abs().max() < 5 / 20_000**0.5
    assert (signs.T @ signs / 20_000 - torch.eye(20)).abs().max() < 5 / 20_000**0.5
