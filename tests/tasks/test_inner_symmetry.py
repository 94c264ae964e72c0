"""Inner symmetry: the orbits are those of all automorphisms, and the ratio says which methods respect them."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import GraphMatcher

from harness.registry import resolve
from harness.spec import Resources
from harness.training.context import RunContext
from harness.training.execute import execute
from harness.training.results import Outcome
from tasks.inner_symmetry import InnerSymmetry, orbit_variances
from tasks.settings import NoSettings
from tasks.sources.small_graphs import EXAMPLES, orbits

TASK = InnerSymmetry(NoSettings())
LABELS = TASK.data("test").targets


@pytest.mark.parametrize("name", EXAMPLES)
def test_automorphisms_and_orbits_by_enumeration(name: str) -> None:
    example = EXAMPLES[name]
    graph = nx.from_numpy_array(example.adjacency)
    assert nx.is_connected(graph) and len(graph) == example.nodes
    automorphisms = list(GraphMatcher(graph, graph).isomorphisms_iter())
    assert len(automorphisms) == example.automorphisms
    first = [min(g[node] for g in automorphisms) for node in graph]
    assert orbits(example.adjacency).tolist() == first


def test_absent_nodes_have_no_orbit() -> None:
    assert torch.equal(LABELS[..., 0] >= 0, TASK.data("test").inputs.mask)


def test_variances_are_those_of_a_one_way_analysis() -> None:
    """One graph against the textbook's F."""
    from scipy.stats import f_oneway

    label = torch.tensor([0, 0, 0, 3, 3, 5, 5, 5, 5])
    values = torch.randn(9, dtype=torch.float64)
    within, between = orbit_variances(values[None, :, None], label[None, :, None].float())
    groups = [values[label == kind].numpy() for kind in (0, 3, 5)]
    assert (between / within).item() == pytest.approx(f_oneway(*groups).statistic)


@given(st.integers(0, 2**31))
def test_chance_gives_one_and_orbit_functions_give_zero(seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    many = torch.randn(400, *LABELS.shape, generator=chance, dtype=torch.float64)
    within, between = orbit_variances(many.flatten(0, 1), LABELS.repeat(400, 1, 1))
    assert (within / between).item() == pytest.approx(1, abs=0.1)
    of_orbit = torch.randn(25, generator=chance, dtype=torch.float64)
    assert TASK.metrics(of_orbit[LABELS.clamp_min(0).long()], LABELS)["spread_ratio"] < 1e-12
    assert TASK.metrics(7 * many[0] - 3, LABELS)["spread_ratio"] == pytest.approx(
        TASK.metrics(many[0], LABELS)["spread_ratio"]
    )


def executed(method: str, **settings: object) -> Outcome:
    given = {"test_repeats": 4, "curve_samples": (1, 16, 256), **settings}
    spec = resolve("inner_symmetry", method, "quick", 0, settings=given)
    return execute(spec, RunContext.of(spec, Resources(chunk=64)))


def test_learned_symmetrization_gives_equal_values_within_orbits_as_samples_grow() -> None:
    curve = [point.value for point in executed("mlp-ps").curve]
    assert curve[0] > 0.5 and curve[2] < 0.1
    assert curve[2] / curve[1] == pytest.approx(1 / 4, rel=0.3)  # 16 times the samples: a quarter of the spread


def test_group_averaging_is_symmetric_but_tells_no_orbits_apart() -> None:
    """An untrained network sees next to nothing of a graph in random order: both spreads are chance and fall alike."""
    few, many = (executed("mlp-ga", test_samples=k).metrics for k in (4, 256))
    assert many["spread_within_orbits"] / few["spread_within_orbits"] == pytest.approx(1 / 8, rel=0.3)
    assert many["spread_ratio"] > 0.5


@pytest.mark.parametrize("method", ["mlp-none", "mlp-canonical"])
def test_one_element_breaks_the_orbits_whatever_the_samples(method: str) -> None:
    found = executed(method)
    assert found.metrics["spread_ratio"] > 0.5 and min(point.value for point in found.curve) > 0.5


def test_an_equivariant_network_is_exact() -> None:
    found = executed("gin")
    assert found.metrics["spread_ratio"] < 1e-5 and found.metrics["best_epoch"] == -1
