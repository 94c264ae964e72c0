"""Laws of noise, noise that is fixed for each input, and the colours that structured noise is drawn for."""

from __future__ import annotations

from typing import get_args

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor

from baselines.build import build
from baselines.catalogue import CANONICALIZATION, PROBABILISTIC
from baselines.q_networks.noise_sources import FixedNoise
from baselines.samplers.colour_refinement import refined_colours, within
from baselines.samplers.probabilistic import ProbabilisticSymmetrization
from harness.errors import SymbenchError
from harness.registry import method, resolve
from harness.training.execute import problem_of
from tasks.graphs import constant_and_degree
from tasks.symmetry.element import Element
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Split
from tests.structures import cycle, random_graphs, random_particles

S_N = group(("S_n",))
SEED = torch.tensor(7)


def learned(x: Structure, **params: object) -> ProbabilisticSymmetrization:
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    symmetry = S_N if signature.geometry == 0 else group(("S_n", "E(3)"))
    sampler = ProbabilisticSymmetrization(symmetry, signature, PROBABILISTIC.settings_from({"width": 16, **params}))
    return sampler.double().eval()


def moved(g: Element, colours: Tensor) -> Tensor:
    return g.act(colours[:, None, :, None], Representation.NODE_SCALARS)[:, 0, :, 0]


@pytest.mark.parametrize(("law", "reference"), [("uniform", "uniform"), ("normal", "norm"), ("structured", "uniform")])
@pytest.mark.parametrize("fixed_noise", [False, True])
def test_every_number_has_the_law_that_was_asked_for(law: str, reference: str, fixed_noise: bool) -> None:
    x = random_graphs(3, 5, padded=False)
    features, ties = learned(x, noise=law, fixed_noise=fixed_noise).noise(x, 1500, torch.Generator().manual_seed(1))
    for value in features.movedim(1, -1).flatten(0, 2):
        assert kstest(value.numpy(), reference).pvalue > 1e-4 / 30
    assert kstest(ties.flatten().numpy(), "uniform").pvalue > 1e-4


def test_numbers_of_fixed_noise_are_independent() -> None:
    x = random_graphs(2, 4, padded=False)
    features, ties = learned(x, fixed_noise=True).noise(x, 20_000, None)
    numbers = torch.cat([features.flatten(2), ties], -1).movedim(1, -1).flatten(0, 1)
    correlations = torch.corrcoef(numbers) - torch.eye(len(numbers), dtype=torch.float64)
    assert correlations.abs().max() < 5 / 20_000**0.5


@pytest.mark.parametrize("particles", [False, True])
def test_fixed_noise_depends_on_nothing_but_the_input(particles: bool) -> None:
    x = random_particles(4, 5) if particles else random_graphs(4, 6)
    sampler = learned(x, fixed_noise=True)
    noise = sampler.noise(x, 5, torch.Generator().manual_seed(1))
    order = torch.tensor([2, 0, 3])
    for part, other in zip(noise, sampler.noise(x[order], 3, torch.Generator().manual_seed(2)), strict=True):
        assert torch.equal(other, part[order, :3])
    for part, other in zip(noise, sampler.noise(x.padded(9), 5, None), strict=True):
        assert torch.equal(other[tuple(slice(size) for size in part.shape)], part)
    assert len(torch.stack([part.flatten(1)[:, 0] for part in noise]).unique()) == 4 * len(noise)
    assert not torch.equal(learned(x, fixed_noise=True).noise(x, 5, None)[0], noise[0])  # another seed


def test_the_seed_of_fixed_noise_is_saved_with_the_weights() -> None:
    x = random_graphs(2, 5)
    one, other = learned(x, fixed_noise=True), learned(x, fixed_noise=True)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.noise(x, 2, None)[0], other.noise(x, 2, None)[0])
    assert "noise_seed" not in learned(x).state_dict()


@given(seed=st.integers(0, 10_000))
def test_no_group_element_changes_fixed_noise(seed: int) -> None:
    """What is made of an example has its key, and with it its noise."""
    particles, graphs = random_particles(3, 5, seed=seed), random_graphs(3, 6, seed=seed)
    for x, symmetry in ((particles, ("S_n", "E(3)")), (graphs, ("S_n",))):
        g = group(symmetry).random(x, 1, torch.Generator().manual_seed(seed))
        sampler = learned(x, fixed_noise=True)
        for part, other in zip(sampler.noise(x, 2, None), sampler.noise(x.acted(g), 2, None), strict=True):
            assert torch.equal(part, other)


def test_examples_that_are_alike_have_noise_of_their_own() -> None:
    """One draw for each graph of a data set, also where graphs are equal."""
    x = constant_and_degree(torch.ones(50, 4, 4) - torch.eye(4))
    noise = learned(x, fixed_noise=True).noise(x, 1, None)
    assert all(len(part.flatten(1)[:, 0].unique()) == 50 for part in noise)


@pytest.mark.usefixtures("generated_data")
@pytest.mark.parametrize("task_name", ["exp_classify", "pattern", "nbody"])
def test_no_two_examples_of_a_task_share_fixed_noise(task_name: str) -> None:
    """Not even graphs of one pair of EXP, which few rounds of colour refinement do not tell apart."""
    small = {"train": 20, "validation": 20, "test": 20}
    params = {"exp_classify": {}, "pattern": {**small, "nodes": 9}, "nbody": small}[task_name]
    spec = resolve(task_name, "mlp-ps", "quick", 0, task_params=params)
    problem = problem_of(spec)
    keys = torch.cat([problem.examples(split).inputs[:].key for split in get_args(Split)])
    assert len(keys.unique()) == len(keys)
    x = problem.examples("train").inputs[:20]
    first = learned(x, fixed_noise=True).noise(x, 1, None)[0].flatten(1)[:, 0]
    assert len(first.unique()) == 20


def test_a_model_with_fixed_noise_says_the_same_twice() -> None:
    x = random_graphs(3, 6)
    card = method("mlp-ps")
    assert card.sampler is not None
    params = {**card.sampler.params, "fixed_noise": True}
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    model = build(card, signature, ("S_n",), card.base.params, params).double().eval()
    assert model.deterministic
    one, other = (model(x, 4, torch.Generator().manual_seed(seed)).value for seed in (1, 2))
    assert torch.equal(one, other)


@given(seed=st.integers(0, 10_000))
def test_structured_noise_is_shared_within_colours_and_follows_them(seed: int) -> None:
    x = random_graphs(4, 7, seed=seed)
    g = S_N.random(x, 1, torch.Generator().manual_seed(seed))
    sampler = learned(x, noise="structured")
    here = sampler.noise(x, 2, torch.Generator().manual_seed(1))[0]
    there = sampler.noise(x.acted(g), 2, torch.Generator().manual_seed(1))[0]
    expected = g.act(here, Representation.NODE_SCALARS)
    keep = x.mask[:, None, :, None]
    assert torch.equal(there * keep, expected * keep)
    colours = refined_colours(x)
    same = colours[:, :, None] == colours[:, None]
    equal = (here[:, 0, :, None] == here[:, 0, None]).all(-1)
    exist = x.mask[:, :, None] & x.mask[:, None]
    assert torch.equal(same[exist], equal[exist])


def test_nodes_of_one_orbit_share_structured_noise() -> None:
    x = cycle(6)
    features, ties = learned(x, noise="structured").noise(x, 3, None)
    assert torch.equal(features, features[:, :, :1].expand_as(features))
    assert len(ties.unique()) == ties.numel()


@given(seed=st.integers(0, 10_000))
def test_colours_are_those_of_networkx(seed: int) -> None:
    x = random_graphs(1, 8, seed=seed, padded=False)
    graph = nx.from_numpy_array(x.adjacency[0].numpy())
    hashes = nx.weisfeiler_lehman_subgraph_hashes(graph, iterations=8)
    expected = [hashes[node][-1] for node in range(8)]
    colours = refined_colours(x)[0].tolist()
    pairs = [(i, j) for i in range(8) for j in range(i)]
    assert [colours[i] == colours[j] for i, j in pairs] == [expected[i] == expected[j] for i, j in pairs]


@given(seed=st.integers(0, 10_000))
def test_the_order_of_colours_follows_the_nodes(seed: int) -> None:
    """Whatever the labels, the padding and the rest of the batch."""
    x = random_graphs(4, 7, seed=seed)
    places = within(refined_colours(x), x.mask) * x.mask
    g = S_N.random(x, 1, torch.Generator().manual_seed(seed))
    assert torch.equal(within(refined_colours(x.acted(g)), x.mask) * x.mask, moved(g, places))
    alone = x[1:2].padded(9)
    assert torch.equal((within(refined_colours(alone), alone.mask) * alone.mask)[0, :7], places[1])


def test_geometry_takes_normal_noise_only() -> None:
    assert resolve("nbody", "mlp-ps", "quick", 0).sampler["noise"] == "normal"
    assert resolve("graph8c", "mlp-ps", "quick", 0).sampler["noise"] == "uniform"
    with pytest.raises(SymbenchError, match=r"no noise 'uniform' on the task 'nbody': did you mean 'normal'"):
        resolve("nbody", "mlp-ps", "quick", 0, sampler={"noise": "uniform"})
    with pytest.raises(SymbenchError, match="should be one of uniform, normal, structured, not 'structure'"):
        resolve("graph8c", "mlp-ps", "quick", 0, sampler={"noise": "structure"})


def test_canonicalization_has_no_noise_to_choose() -> None:
    assert not {"noise", "noise_scale", "fixed_noise"} & CANONICALIZATION.params.keys()


def test_fixed_numbers_have_the_dtype_that_was_asked_for() -> None:
    x = random_graphs(2, 4)
    single = FixedNoise(x, SEED).uniform((2, 3), torch.zeros(1, dtype=torch.float32))
    double = FixedNoise(x, SEED).uniform((2, 3), torch.zeros(1, dtype=torch.float64))
    assert single.dtype == torch.float32 and ((single > 0) & (single < 1)).all()
    torch.testing.assert_close(single.double(), double, atol=2**-22, rtol=0)


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float32, 23), (torch.float64, 52)])
def test_fixed_numbers_are_middles_of_equal_parts_so_that_none_has_an_infinite_quantile(
    dtype: torch.dtype, bits: int
) -> None:
    drawn = FixedNoise(random_graphs(50, 4), SEED).uniform((50, 40), torch.zeros(1, dtype=dtype)).double()
    parts = drawn * 2.0**bits
    assert (parts - parts.floor() == 0.5).all()
