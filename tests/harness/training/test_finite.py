"""Not-a-number and infinity end in a failed run that says where, whatever kind of run it is, and in no score."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.model import Equivariant, Model, Prediction
from harness.execution.run_job import run_job, run_stack
from harness.records.store import Store
from harness.spec import Job, Resources, RunSpec
from harness.training import from_spec, supervised
from harness.training.checkpoint import Checkpoint
from harness.training.context import RunContext
from harness.training.execute import execute
from harness.training.finite import check_finite
from harness.training.fit import LOSS, Fit
from harness.training.monitor import Monitor
from harness.training.output_variance import variance_points
from harness.training.results import NotFinite, Outcome
from harness.training.stacked import StackedFit
from harness.training.supervised import SupervisedKind
from harness.verification import universality, verdicts
from tasks.protocol import Protocol
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Signature, Structure
from tasks.task import MOST_EXAMPLES, SupervisedTask
from tests.harness.training.small_problems import EdgeCount, particles_spec
from tests.harness.training.test_output_variance import Counted
from tests.harness.training.test_paired import EASY, comparisons
from tests.harness.training.test_separation import separation
from tests.harness.training.witness import Witness

pytestmark = pytest.mark.usefixtures("generated_data")
CPU = torch.device("cpu")
TEST = 2 * MOST_EXAMPLES  # the key of the first test example
DOUBLE = RunContext(dtype=torch.float64)
Condition = Callable[[Structure, bool], Tensor]
NOT_FINITE = [math.nan, math.inf, -math.inf]


class Broken(Witness):
    """Predicts ``value`` for the examples of a batch that ``condition`` names; it knows which draws are single."""

    def __init__(self, signature: Signature, condition: Condition, value: float = math.nan) -> None:
        super().__init__(signature, [])
        self.condition, self.value = condition, value

    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        return Prediction(self._spoiled(x, super().from_noise(x, noise, samples, chunk).value, False))

    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        return self._spoiled(x, super().draws(x, samples, generator, chunk), True)

    def _spoiled(self, x: Structure, values: Tensor, draws: bool) -> Tensor:
        if self.training:
            return values
        wrong = self.condition(x, draws).reshape(-1, *[1] * (values.dim() - 1))
        return values.masked_fill(wrong, self.value)


def always(x: Structure, draws: bool) -> Tensor:
    return torch.ones(len(x), dtype=torch.bool)


def never(x: Structure, draws: bool) -> Tensor:
    return ~always(x, draws)


# Validation


def fit(network: Model, task: SupervisedTask, monitor: Monitor = LOSS, **settings: Any) -> Fit:
    plan = Protocol(**{"epochs": 4, "batch_size": 10, "train_samples": 2, "valid_samples": 2, **settings})
    return Fit(network.double(), task, plan, DOUBLE, seed=0, monitor=monitor)


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("condition", [always, lambda x, draws: x.key == MOST_EXAMPLES + 12])
def test_a_run_that_never_sees_a_finite_validation_loss_has_failed(condition: Condition, value: float) -> None:
    """Of all examples or of one; the training loss is finite all the while."""
    task = EdgeCount()
    with pytest.raises(NotFinite, match=r"No validation loss is finite, from epoch 1 to 3: try a lower lr"):
        fit(Broken(task.signature, condition, value), task, validate_every=2).run()


def test_one_finite_validation_is_enough_and_its_weights_are_kept() -> None:
    task, wrong = EdgeCount(), iter([True, False, True, True])  # one validation batch an epoch
    network = Broken(task.signature, lambda x, draws: torch.full((len(x),), next(wrong)))
    assert fit(network, task, valid_size=10).run().best_epoch == 1


class Unmeasured(EdgeCount):
    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {"mse": math.nan}


class Overflowing(EdgeCount):
    """Its loss is infinite where it is validated."""

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return super().loss(predictions, targets) * (1 if predictions.requires_grad else math.inf)


@pytest.mark.parametrize(("kind", "name"), [(Unmeasured, "mse"), (Overflowing, "loss")])
def test_both_the_loss_and_what_is_monitored_have_to_be_finite_once(kind: type[EdgeCount], name: str) -> None:
    task = kind({})
    with pytest.raises(NotFinite, match=f"No validation {name} is finite"):
        fit(Broken(task.signature, never), task, Monitor("mse", "min")).run()


def test_what_is_not_trained_is_not_validated() -> None:
    task = EdgeCount()
    assert fit(Broken(task.signature, always), task, epochs=0).run().best_epoch == -1


# The test set, moved and not, the curve and the variance


def executed(monkeypatch: pytest.MonkeyPatch, condition: Condition, value: float, **settings: Any) -> Outcome:
    spec = particles_spec("egnn", curve_size=20, **settings)
    monkeypatch.setattr(from_spec, "new_model", lambda spec, signature: Broken(signature, condition, value))
    return execute(spec)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_a_run_with_test_predictions_that_are_not_finite_has_failed(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One example is enough, of the inputs as they are or moved or of a single draw of the curve."""

    def third(x: Structure, draws: bool) -> Tensor:
        return (x.key == TEST + 13) & (not draws)

    said = r"Predictions of the test set by the weights of epoch \d are not finite for 1 of 20 examples, .* example 13:"
    with pytest.raises(NotFinite, match=said):
        executed(monkeypatch, third, value)
    with pytest.raises(NotFinite, match="Predictions of the test set by untrained weights are not finite"):
        executed(monkeypatch, third, value, epochs=0)


def test_a_run_whose_moved_predictions_are_not_finite_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    met: dict[int, Tensor] = {}

    def where_moved(x: Structure, draws: bool) -> Tensor:
        if int(x.key[0]) < TEST:
            return never(x, draws)
        seen = met.setdefault(int(x.key[0]), x.points)
        return torch.full((len(x),), not torch.equal(seen, x.points))

    with pytest.raises(NotFinite, match="Predictions of the transformed test set by the weights of epoch"):
        executed(monkeypatch, where_moved, math.nan)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_a_run_with_a_curve_that_is_not_finite_has_failed(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFinite, match="Predictions for the curve over group samples are not finite for 1 of 20"):
        executed(monkeypatch, lambda x, draws: (x.key == TEST + 4) & draws, value)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_a_variance_of_what_is_not_finite_is_none(value: float) -> None:
    """Also where the output is a probability, which is finite for infinite logits."""
    task = Counted()
    network = Broken(task.signature, lambda x, draws: x.key == MOST_EXAMPLES + 7, value).double()
    data = task.examples("validation").to(CPU, torch.float64)
    plan = Protocol(variance_samples=(1, 2), variance_repeats=3, batch_size=6)
    with pytest.raises(NotFinite, match=r"of the model as trained on the validation set are not finite .* example 7:"):
        variance_points("trained", network, task, data, plan, torch.Generator())


@pytest.mark.parametrize("value", NOT_FINITE)
def test_one_number_of_an_example_is_enough(value: float) -> None:
    values = torch.randn(3, 2, 2)
    assert check_finite(values, "values") is values
    values[1, 1, 0] = value
    with pytest.raises(NotFinite, match="Values are not finite for 1 of 3 examples, the first of them example 1: try"):
        check_finite(values, "values")


# Separations and comparisons


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("name", ["gin", "mlp-ga"])
def test_structures_without_a_finite_embedding_are_not_told_apart_nor_alike(name: str, value: float) -> None:
    """Every comparison with not-a-number is false: the pair would count as separated and no copy as fooled."""
    run = separation(name, 2)
    whole = run.build

    def spoiled() -> Model:
        network = whole()
        for parameter in list(network.parameters())[-2:]:
            nn.init.constant_(parameter, value)
        return network

    run.build = spoiled
    with pytest.raises(NotFinite, match=r"Embeddings \(structures\) of initialisation 0 are not finite for 60 of 60"):
        run.metrics()
    with pytest.raises(NotFinite, match=r"Embeddings \(curve\) of initialisation 0 are not finite for 20 of 20"):
        run.curve()


def test_the_structure_without_a_finite_embedding_is_named() -> None:
    """Also where others need not be embedded any more, and where it is a copy."""
    for name, place in (("structures", 41), ("copies", 17)):
        run = separation("gin", 1)
        structures = run.structures if name == "structures" else run.relabelled
        structures.edge_scalars[place, 0, 1] = math.nan
        with pytest.raises(NotFinite, match=rf"Embeddings \({name}\) .* for 1 of 60 examples, .* example {place}:"):
            run.metrics()


def test_a_comparison_whose_squares_overflow_has_failed() -> None:
    """The embeddings are finite, T^2 is not: neither separated nor not."""
    counted = comparisons("gin_id-ga", EASY)
    whole = counted._embed
    counted._embed = lambda *arguments: 1e200 * whole(*arguments)  # type: ignore[method-assign]
    with pytest.raises(NotFinite, match=r"T\^2 of pair 0 \(star\) is not finite"):
        counted.metrics()


# Records


def job(seed: int = 0, **settings: Any) -> Job:
    return Job(spec=particles_spec("egnn", seed, epochs=1, **settings), suite="tests", resources=Resources())


def test_the_record_is_a_failure_without_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_spec, "new_model", lambda spec, signature: Broken(signature, always))
    store = Store(tmp_path)
    record = run_job(job(), store, None)
    assert record.status == "failed" and record.failure is not None
    assert "No validation loss is finite, from epoch 0 to 0: try a lower lr" in record.failure.sentence
    assert not record.metrics and not record.curve
    assert store.statuses() == {record.digest: "failed"}


@pytest.mark.parametrize("fails", [True, False])
def test_a_failed_run_keeps_its_checkpoint_and_a_succeeded_one_drops_it(fails: bool, tmp_path: Path) -> None:
    store, run = Store(tmp_path), job()
    state = {"digest": run.spec.digest, "epoch": 3}

    def executor(spec: RunSpec, context: RunContext) -> Outcome:
        assert context.checkpoint is not None
        torch.save(state, context.checkpoint.path)
        if fails:
            raise NotFinite("No validation loss is finite.")
        return Outcome(metrics={"mse": 1.0})

    record = run_job(run, store, None, execute=executor)
    path = store.checkpoint_path(run.spec.digest)
    assert record.status == ("failed" if fails else "succeeded") and path.exists() is fails
    if fails:  # whole, as the next try will read it
        assert Checkpoint(path, run.spec.digest).load() == state


class Spoilt(Equivariant):
    """In evaluation it adds a buffer, as running statistics would be."""

    spoil: Tensor

    def __init__(self, spoil: float) -> None:
        super().__init__(nn.Linear(1, 1))
        self.register_buffer("spoil", torch.tensor(spoil))

    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        value = self.network(x.adjacency.mean((1, 2))[:, None])
        return Prediction(value if self.training else value + self.spoil)


def test_a_seed_of_a_stack_that_validates_nothing_fails_alone() -> None:
    """And says what it says alone."""
    task, plan = EdgeCount(), Protocol(epochs=2, batch_size=10)
    networks = [Spoilt(spoil).double() for spoil in (0.0, math.nan, 0.0)]
    ends = StackedFit(networks, task, plan, [DOUBLE] * 3, seeds=(3, 0, 7)).run()
    with pytest.raises(NotFinite, match="No validation loss is finite, from epoch 0 to 1") as alone:
        Fit(Spoilt(math.nan).double(), task, plan, DOUBLE, seed=0).run()
    assert isinstance(ends[1], NotFinite) and str(ends[1]) == str(alone.value)
    assert [getattr(ends[place], "epoch", None) for place in (0, 2)] == [2, 2]


@pytest.mark.parametrize("when", ["training", "test"])
def test_a_seed_of_a_stack_that_is_not_finite_leaves_a_failed_record_of_its_own(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starts(spec: RunSpec, problem: SupervisedTask) -> Model:
        network = from_spec.initialised(spec, problem)
        if when == "training" and spec.seed == 1:
            nn.init.constant_(next(network.parameters()), math.nan)
        return network

    whole = SupervisedKind.outcome

    def outcome(kind: SupervisedKind, spec: RunSpec, problem: Any, network: Model, *arguments: Any) -> Outcome:
        if when == "test" and spec.seed == 1:
            nn.init.constant_(next(network.parameters()), math.nan)
        return whole(kind, spec, problem, network, *arguments)

    monkeypatch.setattr(supervised, "initialised", starts)
    monkeypatch.setattr(SupervisedKind, "outcome", outcome)
    records = run_stack([job(seed) for seed in range(3)], Store(tmp_path), lambda job: None)
    assert [record.status for record in records] == ["succeeded", "failed", "succeeded"]
    assert records[1].failure is not None and not records[1].metrics
    said = {"training": "The training loss is nan in epoch 0", "test": "Predictions of the test set by the weights"}
    assert said[when] in records[1].failure.sentence
    assert all(math.isfinite(records[place].metrics["mse"]) for place in (0, 2))


# The checks


def spoiled(method: str, *overrides: str) -> verdicts.Subject:
    found = verdicts.subject(method, "nbody", overrides)
    for parameter in found.model.parameters():
        nn.init.constant_(parameter, math.nan)
    return found


@pytest.mark.parametrize(
    ("method", "overrides"),
    [("mlp-none", ()), ("mlp-ga", ()), ("egnn", ()), ("mlp-ps", ("sampler.fixed_noise=true",))],
)
def test_no_check_is_passed_by_what_is_not_finite(method: str, overrides: tuple[str, ...]) -> None:
    """Above all not by a method that is expected to be without symmetry."""
    found = spoiled(method, *overrides)
    verdict = verdicts.equivariance_verdict(found, [1, 4])
    assert not verdict.passed and "predictions are not finite" in verdict.sentence


def test_no_law_is_read_off_elements_that_are_not_finite() -> None:
    """Coordinates that are not-a-number differ by nothing that a test would see."""
    for overrides in ((), ("sampler.fixed_noise=true",)):
        verdict = verdicts.law_verdict(spoiled("mlp-ps", *overrides), draws=8)
        assert not verdict.passed and "group elements are not finite" in verdict.sentence


def test_a_student_that_is_not_finite_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def ruined(network: Model, *arguments: Any) -> None:
        nn.init.constant_(next(network.parameters()), math.nan)

    monkeypatch.setattr(universality, "train", ruined)
    for method in ("mlp-none", "mlp-ga"):
        verdict = verdicts.universality_verdict(verdicts.subject(method, "nbody"))
        assert not verdict.passed and "predictions are not finite" in verdict.sentence
