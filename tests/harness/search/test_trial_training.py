"""The run of a trial: trained and validated as any run, its score that of the weights it would keep, never tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from harness.execution.run_job import run_job
from harness.records.record import Record
from harness.records.store import Store
from harness.search.trial_training import NOT_TESTED, STOPPED, Report, TrialRun, reports, trained_task
from harness.spec import Job, RunSpec
from harness.training.execute import execute
from tasks.nbody import NBody
from tasks.task import Dataset, Split
from tests.harness.training.small_problems import particles_spec

pytestmark = pytest.mark.usefixtures("generated_data")
SPEC = particles_spec("egnn", epochs=5, validate_every=2, curve_samples=[1])
SPEC = replace(SPEC, base={**SPEC.base, "width": 4, "layers": 1})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The splits that are asked for; the test split is refused."""
    splits: set[str] = set()
    data = NBody.data

    def guarded(self: NBody, split: Split) -> Dataset:
        splits.add(split)
        if split == "test":
            raise PermissionError("the test data was touched")
        return data(self, split)

    monkeypatch.setattr(NBody, "data", guarded)
    return splits


def trial(tell: Callable[[Report], bool], folder: Path, spec: RunSpec = SPEC) -> tuple[Record, Store]:
    store = Store(folder)
    return run_job(Job(spec=spec, suite="search/one"), store, None, execute=TrialRun("mse", tell)), store


def test_test_data_is_never_touched(asked: set[str], tmp_path: Path) -> None:
    record, _ = trial(lambda report: True, tmp_path)
    assert asked == {"train", "validation"}
    assert record.status == "succeeded"
    assert (record.metrics, record.curve, record.notes) == ({}, (), (NOT_TESTED,))
    assert record.cost["parameters"] > 0
    with pytest.raises(PermissionError):  # the guard bites: an ordinary run does look
        execute(SPEC)


def test_a_trial_validates_as_the_run_of_its_digest_does(tmp_path: Path) -> None:
    record, store = trial(lambda report: True, tmp_path / "trial")
    plain = Store(tmp_path / "plain")
    run_job(Job(spec=SPEC, suite="plain"), plain, None)
    assert record.digest == SPEC.digest

    def validated(store: Store) -> list[tuple[Any, ...]]:
        rows = store.history(SPEC.digest).select("step", "name", "value").iter_rows()
        return [row for row in rows if row[1] in ("validation/mse", "validation/loss", "train/loss")]

    assert len(validated(store)) == 5 + 3 + 3
    assert validated(store) == validated(plain)


def test_the_score_is_the_metric_where_the_validation_loss_was_lowest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    losses, metrics = iter([3.0, 1.0, 2.0]), iter([0.1, 0.2, 0.3])
    plain = NBody.loss

    def loss(self: NBody, predictions: Tensor, targets: Tensor) -> Tensor:
        found = plain(self, predictions, targets)
        return found if found.requires_grad else found * 0 + next(losses)

    monkeypatch.setattr(NBody, "loss", loss)
    monkeypatch.setattr(NBody, "metrics", lambda self, predictions, targets: {"mse": next(metrics)})
    received: list[Report] = []
    _, store = trial(lambda report: received.append(report) or True, tmp_path)
    assert received == [Report(2, 0.1), Report(4, 0.2), Report(5, 0.2)]
    assert list(reports(store, SPEC.digest)) == received


def test_where_the_metric_is_monitored_its_best_is_the_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    metrics = iter([float("nan"), 0.2, 0.3])
    monkeypatch.setattr(NBody, "metrics", lambda self, predictions, targets: {"mse": next(metrics)})
    received: list[Report] = []
    spec = replace(SPEC, settings=replace(SPEC.settings, monitor="metric"))
    _, store = trial(lambda report: received.append(report) or True, tmp_path, spec)
    assert received == [Report(4, 0.2), Report(5, 0.2)]
    assert list(reports(store, spec.digest)) == received


def test_a_trial_that_is_stopped_trains_no_further_and_says_so(tmp_path: Path) -> None:
    received: list[Report] = []
    record, store = trial(lambda report: received.append(report) or report.epochs < 4, tmp_path)
    assert [report.epochs for report in received] == [2, 4]
    assert store.history(SPEC.digest)["step"].max() == 3
    assert (record.status, record.metrics, record.notes) == ("succeeded", {}, (NOT_TESTED, STOPPED))


def test_one_that_is_stopped_at_its_very_end_was_not_stopped(tmp_path: Path) -> None:
    record, _ = trial(lambda report: report.epochs < 5, tmp_path)
    assert record.notes == (NOT_TESTED,)


def test_no_finite_loss_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = NBody.loss

    def loss(self: NBody, predictions: Tensor, targets: Tensor) -> Tensor:
        found = plain(self, predictions, targets)
        return found if found.requires_grad else found * float("nan")

    monkeypatch.setattr(NBody, "loss", loss)
    received: list[Report] = []
    record, _ = trial(lambda report: received.append(report) or True, tmp_path)
    assert received == []
    assert record.failure is not None
    assert "No validation loss is finite" in record.failure.sentence


def test_a_task_without_a_validation_set_is_refused() -> None:
    from harness.errors import SymbenchError
    from harness.registry import resolve

    with pytest.raises(SymbenchError, match="The task 'brec' has no validation set"):
        trained_task(resolve("brec", "gin", "quick", 0))
