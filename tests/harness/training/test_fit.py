"""The training loop: resumed equals uninterrupted, chance is accounted for, selection looks at validation only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.build import build
from baselines.model import Model
from harness.registry import method, task
from harness.spec import Resources, RunSpec
from harness.training.checkpoint import Checkpoint
from harness.training.context import RunContext
from harness.training.execute import execute
from harness.training.fit import LOSS, Fit, FitState
from harness.training.monitor import Monitor
from harness.training.results import NotFinite, NullHooks, Outcome
from harness.training.schedule import Budget
from harness.training.seeds import derive, generator
from harness.training.supervised import new_fit
from tasks.catalogue.geometry import NBodySettings
from tasks.nbody import NBody
from tasks.protocol import Protocol
from tests.harness.training.small_problems import EdgeCount, particles_spec

pytestmark = pytest.mark.usefixtures("generated_data")
CPU = torch.device("cpu")


class Recorder:
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))


class Interruption(Exception):
    """A kill, as seen from inside."""


class Interrupter(Recorder):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def log(self, step: int, values: Mapping[str, float]) -> None:
        super().log(step, values)
        if step == self.epoch:
            raise Interruption


def graph_model(name: str, seed: int = 0) -> Model:
    card, task = method(name), EdgeCount()
    torch.manual_seed(seed)
    sampler = card.sampler.params if card.sampler else {}
    return build(card, task.signature, ("S_n",), card.base.params, sampler)


def fit(
    model: Model, hooks: Recorder | None = None, path: Path | None = None, monitor: Monitor = LOSS, **settings: object
) -> Fit:
    protocol = Protocol(**{"epochs": 6, "batch_size": 10, "train_samples": 2, "valid_samples": 2, **settings})
    context = RunContext(hooks=hooks or NullHooks(), checkpoint=Checkpoint(path, "d", 0.0) if path else None)
    return Fit(model, EdgeCount(), protocol, context, seed=3, monitor=monitor)


def timeless(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if "second" not in name}


def without_timing(outcome: Outcome) -> tuple[object, ...]:
    return dict(outcome.metrics), outcome.curve, outcome.cost["parameters"], outcome.cost["peak_memory_bytes"]


@pytest.mark.parametrize("name", ["gin", "mlp-ps", "gin_id-ga"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": "linear", "warmup_epochs": 2, "optimizer": "adamw", "max_steps": 22},
        {"monitor": Monitor("mse", "max")},
    ],
)
def test_resumed_equals_uninterrupted(name: str, settings: dict[str, object], tmp_path: Path) -> None:
    """Killed in the middle and started again: the same weights, history and choice, bit for bit."""
    whole = Recorder()
    uninterrupted = graph_model(name)
    fit(uninterrupted, whole, **settings).run()
    path = tmp_path / "state.pt"
    with pytest.raises(Interruption):
        fit(graph_model(name), Interrupter(3), path, **settings).run()
    resumed, again = graph_model(name, seed=99), Recorder()
    progress = fit(resumed, again, path, **settings).run()
    assert again.rows == whole.rows
    assert progress.epoch == 6
    for ours, expected in zip(resumed.state_dict().values(), uninterrupted.state_dict().values(), strict=True):
        assert torch.equal(ours, expected)


def test_a_run_killed_by_its_watcher_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    spec = particles_spec("mlp-ps")
    expected = execute(spec)
    path = tmp_path / "state.pt"
    Checkpoint(path, "of another run").save({})
    outcome = execute(spec, RunContext.of(spec, checkpoint=path))
    assert without_timing(outcome) == without_timing(expected)


@pytest.mark.parametrize("name", ["egnn", "transformer-ps", "gnn-fa", "mlp-canonical"])
def test_same_digest_same_numbers(name: str) -> None:
    spec = particles_spec(name)
    first = execute(spec)
    torch.rand(17)  # whatever happened in the process before
    again = execute(RunSpec.from_dict(spec.to_dict()))
    assert without_timing(again) == without_timing(first)
    other = execute(particles_spec(name, seed=1))
    assert other.metrics["mse"] != first.metrics["mse"]


def test_chunks_are_no_part_of_the_outcome() -> None:
    spec = particles_spec("gnn-ga", train_samples=6, test_samples=8)
    whole = execute(spec).metrics
    chunked = execute(spec, RunContext.of(spec, Resources(chunk=2))).metrics
    assert chunked["mse"] == pytest.approx(whole["mse"], rel=1e-4)


def test_training_learns() -> None:
    rows = Recorder()
    fit(graph_model("gin"), rows, epochs=60, lr=1e-2).run()
    losses = [values["validation/loss"] for _, values in rows.rows]
    assert min(losses) < 0.1 * losses[0]


def test_the_best_validation_epoch_is_kept() -> None:
    """A learning rate that ends in ruin: the weights kept are those of the best epoch, not the last."""
    rows = Recorder()
    model = graph_model("gin")
    trained = fit(model, rows, epochs=12, lr=0.3)
    progress = trained.run()
    losses = [values["validation/loss"] for _, values in rows.rows]
    assert progress.best_epoch == losses.index(min(losses))
    model.eval()
    predictions = model(trained.validation.inputs, 1).value
    kept = trained.task.loss(predictions, trained.validation.targets).item()
    assert kept == pytest.approx(min(losses), rel=1e-6)


def scripted(monkeypatch: pytest.MonkeyPatch, *scores: float) -> None:
    """The scores of one validation after the other, then 0."""
    scored = iter(scores)
    monkeypatch.setattr(EdgeCount, "metrics", lambda self, predictions, targets: {"score": next(scored, 0.0)})


@pytest.mark.parametrize(("direction", "best"), [("max", 3), ("min", 2)])
def test_the_best_epoch_by_the_metric_is_kept(
    direction: Literal["max", "min"], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not-a-number and infinity are never the best, and of equals the first is."""
    scripted(monkeypatch, math.nan, math.inf, 0.2, 0.7, 0.7, 0.2, -math.inf)
    weights: list[dict[str, torch.Tensor]] = []

    class Keeper(Recorder):
        def log(self, step: int, values: Mapping[str, float]) -> None:
            weights.append({name: value.clone() for name, value in model.state_dict().items()})

    model = graph_model("gin")
    progress = fit(model, Keeper(), monitor=Monitor("score", direction), epochs=7).run()
    assert (progress.best_epoch, progress.best_score) == (best, 0.7 if direction == "max" else 0.2)
    assert all(torch.equal(value, weights[best][name]) for name, value in model.state_dict().items())


def test_patience_follows_what_is_monitored(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, 0.1, 0.5, math.nan, 0.4)
    progress = fit(graph_model("gin"), monitor=Monitor("score", "max"), epochs=400, patience=4).run()
    assert (progress.best_epoch, progress.epoch) == (1, 6)


def test_patience_counts_validations_and_not_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Best at the first of those after epochs 2, 5 and 8, so that two in vain end training after epoch 8."""
    scripted(monkeypatch, 0.5, 0.4, 0.3)
    trained = fit(graph_model("gin"), monitor=Monitor("score", "max"), epochs=400, patience=2, validate_every=3)
    progress = trained.run()
    assert (progress.best_epoch, progress.epoch) == (2, 9)


def test_a_protocol_monitors_the_loss_or_the_metric_of_its_task() -> None:
    assert Monitor.of(task("peptides_func"), Protocol(monitor="metric")) == Monitor("ap", "max")
    assert Monitor.of(task("nbody"), Protocol(monitor="metric")) == Monitor("mse", "min")
    assert Monitor.of(task("peptides_func"), Protocol()) == Monitor("loss", "min")
    spec = particles_spec("egnn", monitor="metric")
    assert new_fit(spec, NBody(NBodySettings(**spec.task_params)), RunContext()).monitor == Monitor("mse", "min")


def test_patience_ends_training() -> None:
    rows = Recorder()
    progress = fit(graph_model("gin"), rows, epochs=400, lr=0.3, patience=3).run()
    assert progress.epoch == progress.best_epoch + 4 < 400


def test_validation_is_made_as_often_as_asked() -> None:
    rows = Recorder()
    fit(graph_model("gin"), rows, epochs=7, validate_every=3).run()
    assert [step for step, values in rows.rows if "validation/loss" in values] == [2, 5, 6]


def test_learning_rate_warms_up_and_decays() -> None:
    rows = Recorder()
    fit(graph_model("gin"), rows, epochs=6, warmup_epochs=2, schedule="linear", lr=1.0e-4).run()
    rates = [values["train/lr"] * 1e4 for _, values in rows.rows]
    # 4 steps an epoch: the rate after the last step of each epoch is the next step's
    assert rates == pytest.approx([4 / 8, 7 / 8, 13 / 17, 9 / 17, 5 / 17, 1 / 17])


@pytest.mark.parametrize("name", ["gin", "mlp-ga"])
def test_the_first_step_of_a_warm_up_moves_no_weight(name: str) -> None:
    model, start = graph_model(name), graph_model(name)
    fit(model, epochs=1, max_steps=1, warmup_epochs=2).run()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), start.parameters(), strict=True))
    fit(model, epochs=1, max_steps=2, warmup_epochs=2).run()
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), start.parameters(), strict=True))


@given(steps=st.integers(2, 300), warmup=st.integers(0, 300), schedule=st.sampled_from(["constant", "linear"]))
def test_the_rate_rises_in_a_line_and_falls_in_one(steps: int, warmup: int, schedule: Any) -> None:
    protocol = Protocol(epochs=steps, batch_size=1, max_steps=steps, warmup_steps=warmup, schedule=schedule)
    budget = Budget(protocol, 7)
    factors = [budget.learning_rate_factor(step) for step in range(steps + 1)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[:warmup] == pytest.approx([step / warmup for step in range(min(warmup, steps + 1))])
    if schedule == "constant":
        assert set(factors[warmup:]) <= {1.0}
    elif steps > warmup:
        assert factors[warmup] == (factors[warmup - 1] if warmup else 1.0)
        falling = [(steps + 1 - step) / (steps + 1 - warmup) for step in range(warmup + 1, steps + 1)]
        assert factors[warmup + 1 :] == pytest.approx(falling)


def test_a_budget_of_steps_ends_within_an_epoch() -> None:
    rows = Recorder()
    trained = fit(graph_model("gin"), rows, epochs=9, max_steps=10, warmup_steps=2, schedule="linear", lr=1.0e-4)
    progress = trained.run()
    assert (trained.budget.steps, trained.trained_steps, progress.epoch) == (10, 10, 3)
    rates = [values["train/lr"] * 1e4 for _, values in rows.rows]
    assert rates == pytest.approx([7 / 9, 3 / 9, 1 / 9])  # after 4, 8 and 10 steps
    assert "validation/loss" in rows.rows[-1][1]
    assert fit(graph_model("gin"), epochs=2, max_steps=10).budget.steps == 8  # whichever ends first


def test_gradients_are_clipped() -> None:
    wild, tame = graph_model("gin"), graph_model("gin")
    fit(wild, epochs=1, lr=1.0, optimizer="adam").run()
    fit(tame, epochs=1, lr=1.0, optimizer="adam", clip_norm=1e-12).run()
    start = graph_model("gin")
    moved = [(a - b).norm().item() for a, b in zip(tame.parameters(), start.parameters(), strict=True)]
    assert sum(moved) < sum((a - b).norm().item() for a, b in zip(wild.parameters(), start.parameters(), strict=True))


def test_drop_last_leaves_incomplete_batches_out() -> None:
    assert fit(graph_model("gin"), batch_size=15).budget.steps_per_epoch == 3
    assert fit(graph_model("gin"), batch_size=15, drop_last=True).budget.steps_per_epoch == 2
    with pytest.raises(ValueError, match="drop_last leaves no batch"):
        fit(graph_model("gin"), batch_size=41, drop_last=True)


def test_a_loss_that_is_not_finite_is_an_error_that_says_so() -> None:
    with pytest.raises(NotFinite, match="try a lower lr"):
        fit(graph_model("gin"), epochs=50, lr=1e9).run()


def test_a_gpu_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeError, match="torch sees none"):
        RunContext.of(particles_spec("egnn"), Resources(gpus=0.5))


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_left_alone(
    damage: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.pt"
    checkpoint = Checkpoint(path, "d")
    checkpoint.save({"numbers": torch.arange(4)})
    loaded = checkpoint.load()
    assert loaded is not None and torch.equal(loaded["numbers"], torch.arange(4))
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    assert checkpoint.load() is None
    assert "cannot be read" in caplog.text


def test_checkpoints_execute_no_code(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"digest": "d", "model": Protocol(epochs=1)}, path)
    assert Checkpoint(path, "d").load() is None


def test_streams_of_chance_are_separate_and_repeatable() -> None:
    assert derive(0, "noise", 1) == derive(0, "noise", 1)
    assert len({derive(seed, purpose, epoch) for seed in range(5) for purpose in "ab" for epoch in range(5)}) == 50
    assert torch.equal(*(torch.rand(3, generator=generator(CPU, 0, "x")) for _ in range(2)))


def test_the_deviation_over_repeats_is_that_of_the_repeats_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """As published: of two repeats half their difference."""
    scored = iter([0.0, 1.0, 5.0, 4.0, 5.0])  # the validation, then plain and moved in turn
    monkeypatch.setattr(NBody, "metrics", lambda self, predictions, targets: {"mse": next(scored, 0.0)})
    spec = particles_spec("egnn", epochs=1, test_repeats=2)
    metrics = execute(spec).metrics
    assert (metrics["mse"], metrics["mse_std"]) == (2.5, 1.5)
    assert (metrics["mse_transformed"], metrics["mse_transformed_std"]) == (5.0, 0.0)


def test_moved_test_sets_show_who_has_learned_a_pose() -> None:
    symmetric = execute(particles_spec("egnn")).metrics
    assert symmetric["mse_transformed"] == pytest.approx(symmetric["mse"], rel=1e-4)
    posed = execute(particles_spec("mlp-none")).metrics
    assert abs(posed["mse_transformed"] / posed["mse"] - 1) > 1e-3
    assert math.isfinite(posed["mse_transformed"])


@pytest.mark.parametrize(
    ("name", "agrees"), [("gin_id-ga", False), ("gin_id-ps", False), ("gin_id-none", None), ("gin", None)]
)
def test_training_tells_how_little_the_sampled_permutations_agree(name: str, agrees: bool | None) -> None:
    """Of 2 samples on graphs of at most 5 nodes: between nothing and log 2 for each row and column."""
    hooks = Recorder()
    fit(graph_model(name), hooks, epochs=2).run()
    found = [values.get("train/permutation_entropy") for _, values in hooks.rows]
    if agrees is None:
        assert found == [None, None]
    else:
        assert all(value is not None and 0 < value <= 2 * math.log(2) for value in found)


def test_patience_begins_with_the_first_weights_that_are_kept() -> None:
    """Until a validation is finite there is nothing that later epochs could be worse than."""
    protocol = Protocol(patience=2)
    assert not FitState(epoch=9, best_epoch=-1).out_of_patience(protocol)
    assert not FitState(epoch=2, best_epoch=0).out_of_patience(protocol)
    assert FitState(epoch=3, best_epoch=0).out_of_patience(protocol)
