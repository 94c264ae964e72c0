"""What the mirror in MLflow costs: a metric on the training path, a run as it ends, a store that is rebuilt."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from harness.records.history import HistoryRow
from harness.records.record import Description, Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, RunTracker, SyncResult, sync
from harness.tracking.connection import connect
from harness.tracking.content import experiment_name
from tests.benchmarks.test_collating import fill, mirror
from tests.harness.records.plain_records import spec

RUNS, LIVE_RUNS, STEPS = 100, 30, 100
METRICS = ("train/loss", "train/rate", "valid/loss")
DESCRIPTION = Description(
    group="S_n", metric="accuracy", direction="max", kind="equivariant", base_model="gin", sampler=None
)


def _record(seed: int) -> Record:
    return Record(
        spec=spec(seed),
        suite="benchmark",
        status="succeeded",
        description=DESCRIPTION,
        started="2026-03-01T12:00:00.000+00:00",
        finished="2026-03-01T12:01:00.000+00:00",
        metrics={"accuracy": 0.5},
        cost={"parameters": 1000.0, "train_seconds": 60.0},
    )


@pytest.mark.benchmark
@pytest.mark.parametrize("there", [0, 10_000])
def test_a_metric_on_the_training_path_and_a_run_as_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: int
) -> None:
    """In a database that holds so many runs of the same suite."""
    store = Store(tmp_path / "store")
    began = time.perf_counter()
    tracker = LaunchTracker.start(store.mlflow_uri, "benchmark", "x", store.root)
    start = time.perf_counter() - began
    experiment = connect(store.mlflow_uri).get_experiment_by_name(experiment_name("benchmark"))
    mirror(tmp_path / "store" / "mlflow.db", experiment.experiment_id, fill(Store(tmp_path / "others"), there))
    logs, finishes = [], []
    for seed in range(LIVE_RUNS):
        record = _record(seed)
        run = RunTracker(tracker.handle, Job(spec=record.spec, suite="benchmark"), DESCRIPTION)
        for step in range(STEPS):
            began = time.perf_counter()
            run.log(step, dict.fromkeys(METRICS, 0.5))
            logs.append(time.perf_counter() - began)
        began = time.perf_counter()
        run.finish(record, {})
        finishes.append(time.perf_counter() - began)
        assert run.lost is None
    with capsys.disabled():
        print(
            f"\n{there:,} runs there; a launch's start (new database): {start:.1f} s; log() of {len(METRICS)} metrics: "
            f"median {statistics.median(logs) * 1e6:.1f} us, 99% {sorted(logs)[len(logs) * 99 // 100] * 1e6:.0f} us; "
            f"finish() of a run of {len(METRICS) * STEPS} metrics: median {statistics.median(finishes) * 1e3:.0f} ms"
        )


@pytest.mark.benchmark
def test_a_store_that_is_rebuilt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    rows = [HistoryRow(step, name, 0.5, step / 10) for step in range(STEPS) for name in METRICS]
    for seed in range(RUNS):
        store.write(_record(seed), rows)
    began = time.perf_counter()
    assert sync(store, store.mlflow_uri) == SyncResult(logged=RUNS)
    first = time.perf_counter() - began
    began = time.perf_counter()
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=RUNS)
    again = time.perf_counter() - began
    with capsys.disabled():
        print(
            f"\nsync of {RUNS} runs of {len(rows)} metrics each into a new database: "
            f"{RUNS / first:.1f} runs/s ({first:.1f} s); "
            f"again, with nothing to do: {again * 1000:.0f} ms"
        )
