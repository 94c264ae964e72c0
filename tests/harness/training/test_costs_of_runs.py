"""What a run says of its costs, by a clock that only what is meant to be timed moves on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.registry import resolve
from harness.spec import RunSpec
from harness.training import evaluate, paired, separation
from harness.training import execute as execution
from harness.training.context import RunContext
from harness.training.from_spec import initialised
from harness.training.results import Outcome
from harness.training.stacked import StackedFit
from tasks.protocol import Protocol
from tests.harness.training.small_problems import EdgeCount
from tests.harness.training.test_paired import EASY, HARD, FewPairs
from tests.harness.training.test_separation import FewGraphs

CPU = torch.device("cpu")


class Clock:
    """Stands still but for what moves it on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    monkeypatch.setattr("time.perf_counter", found)
    yield found


class Slow(EdgeCount):
    """A step of training takes a second, a look at the metrics fifty."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        self.clock.now += predictions.requires_grad or torch._C._functorch.is_batchedtensor(predictions)
        return super().loss(predictions, targets)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        self.clock.now += 50
        return super().metrics(predictions, targets)


def spec_of(task: str, method: str, **settings: Any) -> RunSpec:
    params = {"teacher_graph_invariant": {"nodes": 5}}.get(task, {})
    return resolve(task, method, "quick", 0, task_params=params, settings=settings)


def outcome(spec: RunSpec, problem: object, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.setattr(execution, "problem_of", lambda spec: problem)
    return execution.execute(spec)


def test_training_alone_is_timed_and_the_rate_is_of_its_examples(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("teacher_graph_invariant", "gin", epochs=3, batch_size=10, train_size=30, test_repeats=2)
    cost = outcome(spec, Slow(clock), monkeypatch).cost
    assert cost["train_seconds"] == 3 * 3 and cost["train_examples_per_second"] == 10


def test_a_prediction_takes_what_its_shortest_run_takes(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run of all is not timed, and what a batch takes is shared by its examples."""
    takes = iter([7.0, 5.0, 2.0, 9.0, 1.0])
    whole = evaluate.predict

    def predict(*args: Any, **options: Any) -> Tensor:
        clock.now += next(takes)
        return whole(*args, **options)

    monkeypatch.setattr(evaluate, "predict", predict)
    problem = EdgeCount()
    model = initialised(spec_of("teacher_graph_invariant", "gin"), problem)
    batch = problem.data("test").inputs[:4]
    found = evaluate.cost(model, batch, 1, torch.Generator(), None)  # type: ignore[arg-type]
    assert found["seconds_per_example"] == 2.0 / 4
    assert found["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_seeds_of_a_stack_share_the_time_that_it_takes(clock: Clock) -> None:
    """While one has ended, the others share it."""
    problem = Slow(clock)
    models = [initialised(spec_of("teacher_graph_invariant", "gin"), problem).double() for _ in range(3)]
    protocol = Protocol(epochs=4, batch_size=10, lr=1e-12, train_samples=1, valid_samples=1)
    fit = StackedFit(models, problem, protocol, [RunContext(dtype=torch.float64)] * 3, seeds=(0, 1, 2))
    running = iter([[0, 1, 2], [0, 1, 2], [1, 2], [2], []])
    fit._running = lambda: next(running)  # type: ignore[method-assign]
    fit.run()
    seconds = [state.train_seconds for state in fit.states]
    assert seconds == pytest.approx([4 / 3 + 4 / 3, 4 / 3 + 4 / 3 + 2, 4 / 3 + 4 / 3 + 2 + 4])


def test_comparisons_time_the_training_of_every_pair(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = paired.siamese_loss

    def loss(embeddings: Tensor) -> Tensor:
        clock.now += 1
        return whole(embeddings)

    monkeypatch.setattr(paired, "siamese_loss", loss)
    spec = spec_of("brec", "gin", epochs=2, batch_size=16, test_samples=1)
    found = outcome(spec, FewPairs({**HARD, **EASY}), monkeypatch)
    steps, examples = 3 * 2 * 2, 3 * 2 * 32 * 2  # of every pair two epochs of two batches; both graphs of each copy
    assert found.cost["train_seconds"] == steps
    assert found.cost["train_examples_per_second"] == examples / steps


def test_separation_times_its_embeddings(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = separation.check_finite

    def finite(values: Tensor, *words: str) -> Tensor:
        clock.now += 1
        return whole(values, *words)

    monkeypatch.setattr(separation, "check_finite", finite)
    task = FewGraphs()
    task.threshold = 1e9  # so that all are embedded under every initialisation
    cost = outcome(spec_of("graph8c", "gin", initialisations=3), task, monkeypatch).cost
    assert cost["train_seconds"] == 0 and cost["embed_seconds"] == 3 * 2
    assert cost["train_examples_per_second"] == 3 * 2 * len(task.structures()) / 6
