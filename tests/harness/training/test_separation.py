"""Counting pairs that are never separated: exact, against the plain way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import harness.training.separation
from baselines.build import build
from baselines.model import Model
from harness.registry import method, resolve
from harness.training.context import RunContext
from harness.training.evaluate import predict
from harness.training.execute import execute
from harness.training.memory import peak_memory
from harness.training.results import Hooks, NullHooks
from harness.training.seeds import generator
from harness.training.separation import Separation, Unseparated
from tasks.protocol import Protocol
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import SeparationTask
from tests.harness.training.small_device import with_room_for
from tests.harness.training.witness import Pass, Witness
from tests.structures import random_graphs

CPU = torch.device("cpu")


class FewGraphs(SeparationTask):
    threshold = 0.001

    def __init__(self, settings: Any = None) -> None:
        graphs = random_graphs(30, 6, dtype=torch.float32, padded=False)
        self._graphs = Structure.cat(
            [graphs, graphs.acted(group(("S_n",)).random(graphs, 1, torch.Generator().manual_seed(0)))]
        )
        self.signature = Signature.of(graphs, Representation.GRAPH_SCALARS, 4)

    def structures(self) -> Structure:
        return self._graphs


class History:
    """Hooks that remember."""

    def __init__(self) -> None:
        self.counts: list[Mapping[str, float]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        assert step == len(self.counts)
        self.counts.append(values)


def separation(
    name: str,
    initialisations: int = 3,
    samples: int = 5,
    hooks: Hooks | None = None,
    chunk: int | None = None,
    threshold: float = FewGraphs.threshold,
) -> Separation:
    card, task = method(name), FewGraphs()
    task.threshold = threshold
    sampler = card.sampler.params if card.sampler else {}

    def new() -> Model:
        return build(card, task.signature, ("S_n",), card.base.params, sampler)

    protocol = Protocol(
        initialisations=initialisations, test_samples=samples, batch_size=8, curve_size=20, curve_samples=(1, 4, 16)
    )
    context = RunContext(dtype=torch.float64, hooks=hooks or NullHooks(), chunk=chunk)
    return Separation(new, task, group(("S_n",)), protocol, context, seed=0)


def plain_counts(embeddings: Sequence[Tensor], threshold: float) -> list[int]:
    """After each initialisation, from the full array of distances."""
    close = torch.stack([(e[:, None] - e[None]).abs().sum(-1) <= threshold for e in embeddings])
    return [int(close[:count].all(0).triu(1).sum()) for count in range(1, len(close) + 1)]


def counts(embeddings: Sequence[Tensor], threshold: float) -> list[int]:
    left = Unseparated(len(embeddings[0]), threshold, CPU)
    assert len(left) == len(embeddings[0]) * (len(embeddings[0]) - 1) // 2 and left.members().all()
    found = []
    for values in embeddings:
        left.add(values.where(left.members()[:, None], torch.nan))  # the others are not looked at
        found.append(len(left))
    return found


@given(
    seed=st.integers(0, 10_000),
    initialisations=st.integers(1, 4),
    coarse=st.booleans(),
    spread=st.sampled_from((0.0, 0.1, 1.0)),
    block=st.sampled_from((4, 256)),
)
def test_the_count_is_the_plain_count(seed: int, initialisations: int, coarse: bool, spread: float, block: int) -> None:
    """Also while some blocks are matrices and others lists."""
    noise = torch.Generator().manual_seed(seed)
    shape = (initialisations, 25, 3)
    embeddings = spread * torch.randn(shape, generator=noise, dtype=torch.float64)
    embeddings[:, :9] /= 10
    if coarse:
        embeddings = embeddings.round()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness.training.separation, "BLOCK", block)
        assert counts(list(embeddings), 0.5) == plain_counts(list(embeddings), 0.5)


@pytest.mark.parametrize("listed", [False, True])
def test_a_distance_of_the_threshold_separates_nothing(listed: bool) -> None:
    """It has to be exceeded; sums and threshold are exact in binary."""
    pairs = torch.tensor([[0, 1], [0, 2], [1, 2]]) if listed else None
    left = Unseparated(3, 0.5, CPU, pairs)
    left.add(torch.tensor([[0.0, 0.0], [0.25, 0.25], [0.25, 0.375]]))
    assert len(left) == 2 and left.members().all()


def test_a_copy_at_the_threshold_is_not_told_apart() -> None:
    run = separation("gin", 1, threshold=0.5)
    shift = iter([0.0, 0.5])
    whole = run._embed

    def embed(*arguments: Any) -> Tensor:
        found = torch.zeros_like(whole(*arguments))
        found[:, 0] = next(shift)
        return found

    run._embed = embed  # type: ignore[method-assign]
    assert run.metrics()["false_separations"] == 0


@given(seed=st.integers(0, 10_000), sound=st.floats(0, 1), block=st.sampled_from((4, 256)), listed=st.booleans())
def test_pairs_among_sound_structures_are_those_of_the_full_array(
    seed: int, sound: float, block: int, listed: bool
) -> None:
    """Before any initialisation and after each, of all pairs and of some."""
    noise = torch.Generator().manual_seed(seed)
    embeddings = torch.randn((2, 25, 3), generator=noise, dtype=torch.float64)
    embeddings[:, :9] /= 10
    kept = torch.rand(25, generator=noise) < sound
    both = kept[:, None] & kept
    pairs = torch.rand(25, 25, generator=noise).triu(1) > (0.5 if listed else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness.training.separation, "BLOCK", block)
        left = Unseparated(25, 0.5, CPU, pairs.nonzero() if listed else None)
        assert left.among(kept) == int((pairs & both).sum())
        for values in embeddings:
            left.add(values)
            pairs &= (values[:, None] - values).abs().sum(-1) <= 0.5
            assert left.among(kept) == int((pairs & both).sum())


@pytest.mark.parametrize("threshold", [1.0, 4.0, 20.0])
def test_the_count_of_300_structures_is_that_of_the_full_array(threshold: float) -> None:
    """From a few pairs left to almost all of them."""
    noise = torch.Generator().manual_seed(0)
    embeddings = [torch.randn(300, 10, generator=noise) for _ in range(3)]
    assert counts(embeddings, threshold) == plain_counts([values.double() for values in embeddings], threshold)


def test_a_model_that_separates_nothing_needs_little_memory() -> None:
    """A list of its pairs would take 16 bytes a pair, their embeddings' differences ten times that."""
    constant, size = torch.ones(3000, 10), 3000
    left = Unseparated(size, 0.001, CPU)

    def twice() -> None:
        left.add(constant)
        left.add(constant)

    pairs = size * (size - 1) // 2
    assert peak_memory(twice, CPU) < 8 * pairs
    assert len(left) == pairs and left.members().all()


@pytest.mark.parametrize("name", ["mlp-ps", "mlp-ga", "mlp-canonical", "mlp-fa", "gin", "gin_id-ps"])
def test_what_is_not_embedded_changes_no_count(name: str) -> None:
    """All structures and copies under one initialisation after another, and the full array of distances.

    The threshold leaves structures of each kind: separated never, early and late.
    """
    history, threshold = History(), 0.05
    run = separation(name, 6, hooks=history, threshold=threshold)
    everything = []
    for initialisation, model in run.models():
        everything.append(
            [
                predict(model, x, 5, 8, generator(CPU, 0, purpose, initialisation))
                for x, purpose in ((run.structures, "structures"), (run.relabelled, "copies"))
            ]
        )
    apart = torch.stack([(own - copies).abs().sum(-1) > threshold for own, copies in everything])
    expected = plain_counts([own for own, _ in everything], threshold)
    assert run.metrics() == history.counts[-1]
    assert [counts["unseparated"] for counts in history.counts] == expected
    fooled = apart.cummax(0).values
    assert [counts["false_separations"] for counts in history.counts] == fooled.sum(1).tolist()
    together = [(own[:, None] - own).abs().sum(-1) <= threshold for own, _ in everything]
    never = torch.stack(together).cummin(0).values
    unsound = never | fooled[:, :, None] | fooled[:, None]
    assert [counts["unseparated_sound"] for counts in history.counts] == unsound.triu(1).sum((1, 2)).tolist()
    assert run.embedded <= 2 * 60 * 6


def test_only_what_can_change_a_count_is_embedded() -> None:
    """GIN tells a structure from all others but its copy: pairs are left, and so are all that might be fooled."""
    haar, gin = separation("mlp-ga", 10), separation("gin", 10)
    haar.metrics()
    gin.metrics()
    assert haar.embedded < 2 * 60 * 3
    assert gin.embedded == 2 * 60 * 10


@pytest.mark.parametrize("name", ["mlp-ps", "mlp-ga"])
def test_chunks_change_nothing(name: str) -> None:
    histories = [History(), History(), History()]
    runs = [
        separation(name, 4, hooks=history, chunk=chunk, threshold=0.05)
        for history, chunk in zip(histories, (None, 1, 3), strict=True)
    ]
    metrics, curves = [run.metrics() for run in runs], [run.curve() for run in runs]
    assert metrics[0] == metrics[1] == metrics[2]
    assert histories[0].counts == histories[1].counts == histories[2].counts
    for curve in curves[1:]:
        assert [point.value for point in curve] == [point.value for point in curves[0]]
        assert [point.variance for point in curve] == pytest.approx([point.variance for point in curves[0]], rel=1e-9)


def test_an_invariant_network_separates_no_copies() -> None:
    """GIN gives relabelled copies one embedding: the 30 planted pairs stay, and no separation is false."""
    metrics = separation("gin").metrics()
    assert metrics["unseparated"] == metrics["unseparated_sound"] >= 30
    assert metrics["false_separations"] == 0


def test_chance_separates_copies_and_is_counted() -> None:
    """Group averaging with few samples tells copies apart by noise: nothing unseparated, almost all of it false."""
    metrics = separation("mlp-ga").metrics()
    assert metrics["unseparated"] < 30
    assert metrics["false_separations"] > 50
    assert metrics["unseparated_sound"] > 0.9 * 60 * 59 / 2


def test_copies_are_relabelled() -> None:
    """A network without symmetry and without chance tells them from their originals."""
    assert separation("mlp-none", 1).metrics()["false_separations"] > 50


def test_more_initialisations_separate_no_less() -> None:
    counts = [separation("gin", initialisations=count).metrics()["unseparated"] for count in (1, 2, 6)]
    assert counts == sorted(counts, reverse=True)


def test_the_curve_falls_in_variance_as_samples_grow() -> None:
    curve = separation("mlp-ga").curve()
    assert [point.samples for point in curve] == [1, 4, 16]
    variances = [point.variance for point in curve]
    assert variances[0] / variances[2] == pytest.approx(16, rel=0.5)
    flat = separation("gin").curve()
    assert {(point.value, point.variance) for point in flat} == {(flat[0].value, 0.0)}


def test_the_variance_of_the_curve_is_unbiased() -> None:
    """Embeddings are means of k Gaussian numbers times a weight, so their variance is the squared weight over k."""
    run, seen = separation("gin", 4), list[Pass]()
    signature = FewGraphs().signature
    run.build = lambda: Witness(signature, seen)
    run.protocol = replace(run.protocol, curve_size=60)
    points = run.curve()
    expected = torch.stack([one.weight for one in seen]).square().mean().item()
    assert [point.samples for point in points] == [1, 4, 16]
    for point in points:
        assert point.variance == pytest.approx(expected / point.samples, rel=0.3)


@pytest.mark.usefixtures("generated_data")
def test_graph8c_end_to_end() -> None:
    """GIN is bounded by colour refinement: it cannot separate the 312 pairs that 1-WL does not (Balcilar et al.)."""
    spec = resolve("graph8c", "gin", "quick", 0, settings={"initialisations": 2, "batch_size": 2000})
    outcome = execute(spec)
    assert outcome.metrics["unseparated"] >= 312
    assert outcome.metrics["false_separations"] == 0
    assert outcome.cost["parameters"] > 0 and outcome.cost["peak_memory_bytes"] > 0
    again = execute(spec)
    assert dict(again.metrics) == dict(outcome.metrics)


def test_a_device_that_is_out_of_memory_is_so_for_all_models_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = separation("mlp-ga", 4, threshold=0.05)
    expected = whole.metrics(), whole.curve()
    tried, short = with_room_for(2, monkeypatch), separation("mlp-ga", 4, threshold=0.05)
    assert (short.metrics(), [point.value for point in short.curve()]) == (
        expected[0],
        [point.value for point in expected[1]],
    )
    assert [size for size in tried if size > 2] == [5]
    assert short.chunks.notes(None) == ("out of memory in evaluation: chunk 2 instead of all samples",)
