"""Counting pairs that are never told apart: exact, against the plain way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.build import build
from baselines.model import Model
from harness.registry import method, resolve
from harness.spec import Resources
from harness.training.execute import execute
from harness.training.outcome import Silence
from harness.training.separation import Separation, Unseparated
from tasks.protocol import Protocol
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import SeparationTask
from tests.structures import random_graphs


class FewGraphs(SeparationTask):
    threshold = 0.001

    def __init__(self, params: Mapping[str, Any]) -> None:
        graphs = random_graphs(30, 6, dtype=torch.float32, padded=False)
        self._graphs = Structure.cat([graphs, graphs.acted(group(("S_n",)).random(graphs, 1, None))])
        self.signature = Signature.of(graphs, Representation.GRAPH_SCALARS, 4)

    def structures(self) -> Structure:
        return self._graphs


def separation(name: str, initialisations: int = 3, samples: int = 5) -> Separation:
    card, task = method(name), FewGraphs({})
    sampler = card.sampler.params if card.sampler else {}

    def new() -> Model:
        return build(card, task.signature, ("S_n",), card.base.params, sampler)

    protocol = Protocol(initialisations=initialisations, test_samples=samples, curve_size=20, curve_samples=(1, 4, 16))
    return Separation(
        new, task, group(("S_n",)), protocol, seed=0, device=torch.device("cpu"), dtype=torch.float32, hooks=Silence()
    )


def plain_count(embeddings: list[Tensor], threshold: float) -> int:
    pairs = itertools.combinations(range(len(embeddings[0])), 2)
    return sum(all((e[a] - e[b]).abs().sum().item() <= threshold for e in embeddings) for a, b in pairs)


@given(seed=st.integers(0, 10_000), initialisations=st.integers(1, 3), coarse=st.booleans())
def test_the_count_is_the_plain_count(seed: int, initialisations: int, coarse: bool) -> None:
    noise = torch.Generator().manual_seed(seed)
    embeddings = [torch.randn(25, 3, generator=noise, dtype=torch.float64) for _ in range(initialisations)]
    if coarse:
        embeddings = [values.round() for values in embeddings]
    left = Unseparated(0.5)
    counts = [left.add(values) for values in embeddings]
    assert counts[-1] == plain_count(embeddings, 0.5)
    assert counts == sorted(counts, reverse=True)


def test_an_invariant_network_separates_no_copies() -> None:
    """GIN gives relabelled copies one embedding: the 30 planted pairs stay, and no separation is false."""
    metrics = separation("gin").metrics()
    assert metrics["unseparated"] >= 30
    assert metrics["false_separations"] == 0


def test_chance_separates_copies_and_is_counted() -> None:
    """Group averaging with few samples tells copies apart by noise: nothing unseparated, almost all of it false."""
    metrics = separation("mlp-haar").metrics()
    assert metrics["unseparated"] < 30
    assert metrics["false_separations"] > 50


def test_more_initialisations_separate_no_less() -> None:
    counts = [separation("gin", initialisations=count).metrics()["unseparated"] for count in (1, 2, 6)]
    assert counts == sorted(counts, reverse=True)


def test_the_curve_falls_in_variance_as_samples_grow() -> None:
    curve = separation("mlp-haar").curve()
    assert [point.samples for point in curve] == [1, 4, 16]
    variances = [point.variance for point in curve]
    assert variances[0] / variances[2] == pytest.approx(16, rel=0.5)
    flat = separation("gin").curve()
    assert {(point.value, point.variance) for point in flat} == {(flat[0].value, 0.0)}


@pytest.mark.usefixtures("generated_data")
def test_graph8c_end_to_end() -> None:
    """GIN is bounded by colour refinement: it cannot separate the 312 pairs that 1-WL does not (Balcilar et al.)."""
    spec = resolve("graph8c", "gin", "quick", 0, settings={"initialisations": 2, "batch_size": 2000})
    outcome = execute(spec, resources=Resources(), hooks=Silence())
    assert outcome.metrics["unseparated"] >= 312
    assert outcome.metrics["false_separations"] == 0
    assert outcome.cost["parameters"] > 0 and outcome.cost["peak_memory_bytes"] > 0
    again = execute(spec, resources=Resources(), hooks=Silence())
    assert dict(again.metrics) == dict(outcome.metrics)
