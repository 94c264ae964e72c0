"""The networks that can be q: equivariant jointly in input and noise, blind to padding, different from each other."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.catalogue import PROBABILISTIC
from baselines.catalogue.samplers import ProbabilisticSettings
from baselines.limits import MOST_SOFT_ELEMENTS, q_is_too_large
from baselines.q_networks.gin import GINScorer
from baselines.samplers.probabilistic import GraphQ, ProbabilisticSymmetrization
from harness.errors import SymbenchError
from harness.registry import resolve
from tasks.symmetry.element import Permutation, Product
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.properties.test_samplers_on_groups import structures_for, symmetrized
from tests.structures import random_graphs

NETWORKS = ("gin", "deepsets", "transformer")
S_N = group(("S_n",))


def learned(x: Structure, **params: object) -> ProbabilisticSymmetrization:
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    sampler = ProbabilisticSymmetrization(S_N, signature, PROBABILISTIC.settings_from({"width": 16, **params}))
    return sampler.double().eval()


def scores(sampler: ProbabilisticSymmetrization, x: Structure, noise: tuple[Tensor, ...]) -> Tensor:
    found = sampler.network(x, noise, 1.0).scores
    assert found is not None
    return found * x.mask[:, None]


@pytest.mark.parametrize(("q", "input_linear"), [*((q, True) for q in NETWORKS), ("gin", False)])
@given(seed=st.integers(0, 10_000))
def test_scores_follow_the_nodes(q: str, input_linear: bool, seed: int) -> None:
    torch.manual_seed(seed)
    x = random_graphs(3, 7, seed=seed)
    sampler = learned(x, q=q, input_linear=input_linear)
    noise = sampler.noise(x, 2, None)
    g = S_N.random(x, 1, None)
    moved = tuple(g.act(part, Representation.NODE_SCALARS) for part in (noise[0], noise[1][..., None]))
    expected = g.act(scores(sampler, x, noise)[..., None], Representation.NODE_SCALARS)[..., 0]
    of_moved = scores(sampler, x.acted(g), (moved[0], moved[1][..., 0]))
    torch.testing.assert_close(of_moved, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("q", NETWORKS)
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_no_score(q: str, training: bool) -> None:
    x = random_graphs(4, 6)
    sampler = learned(x, q=q).train(training)
    features, ties = sampler.noise(x.padded(9), 2, None)
    padded = scores(sampler, x.padded(9), (features, ties))
    here = scores(sampler, x, (features[:, :, :6], ties[:, :, :6]))
    torch.testing.assert_close(padded[..., :6], here, atol=1e-10, rtol=0)


@pytest.mark.parametrize("q", NETWORKS)
def test_gradients_reach_every_parameter_that_scores_depend_on(q: str) -> None:
    x = random_graphs(4, 6)
    sampler = learned(x, q=q).train()
    weights = torch.randn(4, 2, 6, dtype=torch.float64)
    (scores(sampler, x, sampler.noise(x, 2, None)) * weights).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in sampler.parameters())
    assert sum(p.grad.abs().sum() > 0 for p in sampler.parameters() if p.grad is not None) > 4


@pytest.mark.parametrize("q", NETWORKS)
def test_only_a_set_network_is_blind_to_edges(q: str) -> None:
    x = random_graphs(3, 6, padded=False)
    other = Structure.build(x.mask, node_scalars=x.node_scalars, edge_scalars=x.edge_scalars.roll(1, 0))
    sampler = learned(x, q=q)
    noise = sampler.noise(x, 2, None)
    assert torch.equal(scores(sampler, x, noise), scores(sampler, other, noise)) == (q == "deepsets")


@pytest.mark.parametrize("q", NETWORKS)
def test_tied_nodes_are_ordered_by_chance(q: str) -> None:
    """Without noise, twins (nodes with equal features and equal edges) have equal scores but for what breaks ties."""
    mask = torch.ones(1, 4, dtype=torch.bool)
    x = Structure.build(
        mask,
        node_scalars=torch.ones(1, 4, 2, dtype=torch.float64),
        edge_scalars=torch.zeros(1, 4, 4, 1, dtype=torch.float64),
    )
    sampler = learned(x, q=q, noise_scale=0.0)
    element = sampler(x, sampler.noise(x, 4000, torch.Generator().manual_seed(1))).element
    assert isinstance(element, Permutation)
    counts = torch.nn.functional.one_hot(element.images[0], 4).double().sum(0)
    assert (((counts - 1000) ** 2 / 1000).sum(1) < 21.1).all()  # the 99.99 % point with 3 degrees of freedom


@pytest.mark.parametrize("names", [("S_n", "SE(3)"), ("C_n", "E(3)")])
def test_nodes_and_axes_that_nothing_tells_apart_are_left_to_chance_in_space_too(names: tuple[str, ...]) -> None:
    """Without noise, of points in one place: any node comes first, and the matrix is any rotation."""
    x = Structure.build(torch.ones(1, 4, dtype=torch.bool), points=torch.ones(1, 4, 3, 1, dtype=torch.float64))
    torch.manual_seed(0)
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    settings = ProbabilisticSettings(noise_scale=0.0)
    sampler = ProbabilisticSymmetrization(group(names), signature, settings).double().eval()
    element = sampler(x, sampler.noise(x, 4000, torch.Generator().manual_seed(1))).element
    assert isinstance(element, Product)
    nodes, space = element.factors
    counts = torch.nn.functional.one_hot(nodes.images[0, :, 0], 4).double().sum(0)  # type: ignore[attr-defined]
    assert ((counts - 1000) ** 2 / 1000).sum() < 21.1  # the 99.99 % point with 3 degrees of freedom
    matrix = space.matrix[0]  # type: ignore[attr-defined]
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64).expand_as(matrix))
    assert matrix.mean(0).abs().max() < 5 * (1 / 3 / 4000) ** 0.5


@pytest.mark.parametrize("q", NETWORKS)
def test_dropout_acts_in_training_alone_and_its_share_is_that_asked_for(q: str) -> None:
    x = random_graphs(4, 6)
    with_it, without = (learned(x, q=q, dropout=share) for share in (0.4, None))
    with_it.load_state_dict(without.state_dict())
    noise = without.noise(x, 2, None)
    assert torch.equal(scores(with_it, x, noise), scores(without, x, noise))
    with_it.train()
    assert not torch.allclose(scores(with_it, x, noise), scores(with_it, x, noise))
    without.train()
    assert torch.equal(scores(without, x, noise), scores(without, x, noise))
    shares = {module.p for module in with_it.modules() if isinstance(module, torch.nn.Dropout)}
    assert shares == {0.4}


def test_dropout_stands_between_the_linear_maps_of_a_layer_and_keeps_its_mean() -> None:
    """Of the hidden rows a share is zero and the rest is scaled up."""
    x = random_graphs(6, 30, padded=False)
    scorer = GINScorer(2, 64, 1, dropout=0.25).double().train()
    before, after = [], []
    first, second = scorer.layers[0].mlp  # type: ignore[misc, union-attr]
    first.register_forward_hook(lambda module, given, output: before.append(output))
    second.register_forward_pre_hook(lambda module, given: after.append(given[0]))
    scorer(x, torch.rand(6, 5, 30, 2, dtype=torch.float64))
    active = before[0] != 0
    ratio = (after[0] / before[0])[active]
    torch.testing.assert_close(ratio, (ratio != 0).double() / 0.75, atol=1e-12, rtol=0)
    error = (0.25 * 0.75 / ratio.numel()) ** 0.5
    assert abs((ratio == 0).double().mean().item() - 0.25) < 4 * error


def test_without_an_input_linear_the_first_layer_reads_the_features() -> None:
    scorer = GINScorer(5, 16, 3, input_linear=False)
    assert [layer.mlp[0].linear.in_features for layer in scorer.layers] == [5, 16, 16]  # type: ignore[union-attr, index]
    with_one = GINScorer(5, 16, 3)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (scorer, with_one)]
    assert sizes[1] - sizes[0] == (5 * 16 + 16) + (16 - 5) * 16


PUBLISHED_DROPOUT = {
    **dict.fromkeys(("pattern", "peptides_func", "peptides_struct"), 0.1),
    **dict.fromkeys(("pcqm_contact", "graph8c", "exp", "exp_classify", "inner_symmetry")),
}


@pytest.mark.parametrize("task", ["graph8c", "exp", "exp_classify", "inner_symmetry"])
def test_q_has_the_published_parameters(task: str) -> None:
    """22,022 parameters, of which the 192 of an input layer are never used."""
    sampler = resolve(task, "mlp-ps", "paper", 0).sampler
    q = GraphQ(Signature.of(random_graphs(1, 5), Representation.GRAPH_SCALARS, 1), PROBABILISTIC.settings_from(sampler))
    assert sum(parameter.numel() for parameter in q.parameters()) == 22_022 - 192


def test_q_on_graphs_is_the_published_one() -> None:
    for task, dropout in PUBLISHED_DROPOUT.items():
        sampler = resolve(task, "mlp-ps", "paper", 0).sampler
        assert (sampler["dropout"], sampler["input_linear"], sampler["norm_padding"]) == (dropout, False, True)


def test_the_usual_network_is_written_out() -> None:
    assert resolve("graph8c", "mlp-ps", "quick", 0).sampler["q"] == "gin"
    assert resolve("nbody", "mlp-canonical", "quick", 0).sampler["q"] == "vector_neurons"
    chosen = resolve("graph8c", "mlp-ps", "quick", 0, sampler={"q": "deepsets"})
    assert chosen.sampler["q"] == "deepsets"
    assert chosen.digest != resolve("graph8c", "mlp-ps", "quick", 0).digest


def test_a_network_that_does_not_exist_is_named() -> None:
    with pytest.raises(SymbenchError, match=r"'q' of 'ps' should be one of gin, deepsets, .*, not 'deepset'"):
        resolve("graph8c", "mlp-ps", "quick", 0, sampler={"q": "deepset"})
    with pytest.raises(SymbenchError, match=r"no q 'gin' on the task 'nbody': known: vector_neurons"):
        resolve("nbody", "mlp-ps", "quick", 0, sampler={"q": "gin"})


def test_heads_divide_the_width_of_a_transformer() -> None:
    with pytest.raises(ValueError, match="multiple of that, not 18"):
        learned(random_graphs(1, 4), q="transformer", width=18)


@pytest.mark.parametrize(("order", "refused"), [(MOST_SOFT_ELEMENTS, False), (MOST_SOFT_ELEMENTS + 1, True)])
def test_the_largest_finite_group_that_q_is_trained_on(order: int, refused: bool) -> None:
    """By name and by construction alike."""
    name = f"C_{order}"
    x = Structure.build(torch.ones(1, 3, dtype=torch.bool), points=torch.randn(1, 3, 2, 1))
    assert (q_is_too_large((name,)) is not None) == refused
    with pytest.raises(ValueError, match="at most 4,096") if refused else nullcontext():
        signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
        ProbabilisticSymmetrization(group((name,)), signature, ProbabilisticSettings())


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"temperature": -1.0}, {"sinkhorn_steps": 0}])
def test_a_relaxation_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="temperature must be positive and sinkhorn_steps at least 1, unlike"):
        learned(random_graphs(1, 4), **wrong)


@pytest.mark.parametrize("names", [("S_n",), ("D_n",), ("C_5",), ("S_n", "B_3")])
def test_nothing_is_soft_and_nothing_is_penalised_without_gradients(names: tuple[str, ...]) -> None:
    symmetry = group(names)
    x = structures_for(symmetry)
    sampler = symmetrized("ps", symmetry, x).sampler
    noise = sampler.noise(x, 2, None)
    assert sampler(x, noise).penalty is not None
    with torch.no_grad():
        sample = sampler(x, noise)
    assert sample.penalty is None and sample.statistics == {}
