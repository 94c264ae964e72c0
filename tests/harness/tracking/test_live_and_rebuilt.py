"""A run that was logged as it went and the same run rebuilt from its record look the same in MLflow."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.records.history import History
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, RunTracker, run, sync
from harness.tracking.connection import connect

UNUSUAL: list[Mapping[str, float]] = [
    {"train/loss": 1.0, "<script>alert(1)</script>": 1.0},
    {"train/loss": math.nan, "µ": 1e308},
    {"train/loss": math.inf, "../up": -math.inf},
    {"train/loss": 5e-324, "x" * 400: 2.0},
]


@pytest.fixture
def live(store: Store, make_record: Callable[..., Record]) -> Callable[..., Record]:
    """Runs a job as a worker would, with a launch around it, and returns its record."""

    def perform(job: Job, values: list[Mapping[str, float]], *, failed: bool = False) -> Record:
        tracker = LaunchTracker.start(store.mlflow_uri, job.suite, "launch-1", store.root)
        assert tracker.lost is None
        started, history = _now(), History()
        follower = RunTracker(tracker.handle, job, make_record().description)
        for step, row in enumerate(values):
            history.log(step, row)
            follower.log(step, row)
            time.sleep(0.1)
        record = make_record(job, failed=failed, started=started, finished=_now())
        store.write(record, history.rows)
        store.write_launch("launch-1", {"started": started, "digests": [record.digest]})
        follower.finish(record, {"record.json": "what the caller thinks"})
        assert follower.lost is None
        tracker.finish()
        return record

    return perform


@pytest.mark.parametrize("failed", [False, True])
def test_live_and_rebuilt_are_the_same(
    failed: bool,
    store: Store,
    live: Callable[..., Record],
    make_job: Callable[..., Job],
    mirror_of: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    new_database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "PERIOD_SECONDS", 0.05)
    record = live(make_job(base={"text": "é" * 9000}), UNUSUAL, failed=failed)
    second = f"sqlite:///{shutil.copy(new_database, tmp_path / 'rebuilt.db')}"
    assert sync(store, second).logged == 1
    first, rebuilt = mirror_of(store.mlflow_uri), mirror_of(second)
    of_the_moment = {name: first["metrics"].pop(name) for name in [*first["metrics"]] if name.startswith("system/")}
    assert "system/system_memory_usage_percentage" in of_the_moment
    assert first == rebuilt

    assert first["status"] == ("FAILED" if failed else "FINISHED")
    assert first["tags"]["symbench.digest"] == record.digest
    assert first["tags"]["symbench.launch"] == "launch-1"
    assert first["metrics"]["train/loss"] == [(0, "1.0"), (1, "nan"), (2, repr(1.7976931348623157e308)), (3, "5e-324")]
    assert len(first["metrics"]) == 5 + (0 if failed else 7)
    assert set(first["artifacts"]) - {"traceback.txt"} == {"spec.json", "record.json", "report.md"}
    assert ("traceback.txt" in first["artifacts"]) == failed


def test_runs_stand_in_the_experiment_of_their_suite_and_nothing_else_does(
    store: Store,
    live: Callable[..., Record],
    make_job: Callable[..., Job],
    mlflow_runs: Callable[..., list[Any]],
) -> None:
    live(make_job(), UNUSUAL[:1])
    (only,) = mlflow_runs(store.mlflow_uri)
    assert mlflow_runs(store.mlflow_uri, parents=True) == []
    assert "mlflow.parentRunId" not in only.data.tags and only.data.tags["symbench.launch"]
    found = connect(store.mlflow_uri).get_experiment(only.info.experiment_id)
    assert found.name == "symbench/quick"
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"
    assert found.tags["mlflow.note.content"].startswith("Runs of the suite quick of symbench.")
    assert Path(store.root, "mlartifacts").is_dir() and any(store.root.glob("mlartifacts/**/report.md"))


def test_a_launch_ends_what_earlier_ones_left_running(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Callable[..., list[Any]],
) -> None:
    killed = LaunchTracker.start(store.mlflow_uri, "quick", "killed", store.root)
    RunTracker(killed.handle, make_job(), make_record().description)
    while not mlflow_runs(store.mlflow_uri):
        time.sleep(0.1)
    Store(store.root / "other")
    elsewhere = LaunchTracker.start(store.mlflow_uri, "quick", "of another store", store.root / "other")
    LaunchTracker.start(store.mlflow_uri, "quick", "next", store.root)
    (only,) = mlflow_runs(store.mlflow_uri)
    assert (only.info.status, only.data.tags["symbench.launch"]) == ("KILLED", "killed")
    assert elsewhere.lost is None


def test_metrics_are_sent_in_few_calls(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    mirror_of: Callable[[str], dict[str, Any]],
) -> None:
    from mlflow import MlflowClient

    sizes, usual = list[int](), run.PERIOD_SECONDS
    original = MlflowClient.log_batch

    def counting(self: MlflowClient, run_id: str, metrics: Any = (), *args: Any, **options: Any) -> None:
        sizes.append(len(metrics))
        original(self, run_id, metrics, *args, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", counting)
    monkeypatch.setattr(run, "PERIOD_SECONDS", 1.0)
    job = make_job()
    tracker = RunTracker(
        LaunchTracker.start(store.mlflow_uri, "quick", "x", store.root).handle, job, make_record().description
    )
    began = time.monotonic()
    for step in range(2500):
        tracker.log(step, {"loss": 1.0})
        time.sleep(0.001)
    periods = time.monotonic() - began
    during = len(sizes)
    tracker.finish(make_record(job), {})
    assert during <= periods + 1 and usual >= 1.0
    assert max(sizes) <= 1000
    assert len(mirror_of(store.mlflow_uri)["metrics"]["loss"]) == 2500


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
