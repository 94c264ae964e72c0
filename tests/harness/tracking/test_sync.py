"""Sync makes MLflow mirror the store, and a second one finds nothing to do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, RunTracker, SyncResult, sync
from harness.tracking.connection import connect

Put = Callable[..., Record]
Runs = Callable[..., list[Any]]


def test_the_second_sync_logs_nothing(store: Store, put: Put, make_job: Callable[..., Job], mlflow_runs: Runs) -> None:
    for seed in range(6):
        put(make_job(seed, suite="quick" if seed < 4 else "other"), failed=seed == 5)
    assert sync(store, store.mlflow_uri) == SyncResult(logged=6)
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=6)
    found = mlflow_runs(store.mlflow_uri)
    assert sorted(run.data.tags["symbench.seed"] for run in found) == list("012345")
    names = {item.experiment_id: item.name for item in connect(store.mlflow_uri).search_experiments()}
    assert all(names[run.info.experiment_id] == f"symbench/{run.data.tags['symbench.suite']}" for run in found)
    assert [run.info.status for run in found].count("FAILED") == 1


def test_records_of_no_launch_hang_below_the_sync(
    store: Store, put: Put, make_job: Callable[..., Job], mlflow_runs: Runs
) -> None:
    first, second = put(make_job(1)), put(make_job(2), minutes=10)
    store.write_launch("early", {"started": first.started, "digests": [first.digest, second.digest]})
    store.write_launch("late", {"started": second.started, "digests": [first.digest, second.digest]})
    Path(store.root, "launches", "broken.json").write_text("{")
    third = put(make_job(3))
    sync(store, store.mlflow_uri)
    names = {run.info.run_id: run.info.run_name for run in mlflow_runs(store.mlflow_uri, parents=True)}
    below = {
        run.data.tags["symbench.digest"]: names[run.data.tags["mlflow.parentRunId"]]
        for run in mlflow_runs(store.mlflow_uri)
    }
    assert below[first.digest] == "launch early"
    assert below[second.digest] == "launch late"
    assert below[third.digest].startswith("sync 20")
    assert len(names) == 3


def test_a_half_logged_run_is_replaced(
    store: Store, put: Put, make_job: Callable[..., Job], make_record: Put, mlflow_runs: Runs
) -> None:
    job = make_job()
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "killed", store.root)
    RunTracker(tracker.handle, job, make_record().description)
    while not mlflow_runs(store.mlflow_uri):
        time.sleep(0.1)
    (half,) = mlflow_runs(store.mlflow_uri)
    assert half.info.status == "RUNNING"
    put(job, finished="2099-01-01T00:00:00.000+00:00")
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1, replaced=1)
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=1)
    (whole,) = mlflow_runs(store.mlflow_uri)
    assert whole.info.run_id != half.info.run_id
    assert whole.info.status == "FINISHED"
    assert whole.data.metrics["test/mse"] == 0.25


def test_a_retry_that_goes_on_is_left_alone(
    store: Store, put: Put, make_job: Callable[..., Job], make_record: Put, mlflow_runs: Runs
) -> None:
    job = make_job()
    put(job, failed=True)
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "retry", store.root)
    RunTracker(tracker.handle, job, make_record().description)
    while not mlflow_runs(store.mlflow_uri):
        time.sleep(0.1)
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1)
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=1)
    assert {run.info.status for run in mlflow_runs(store.mlflow_uri)} == {"FAILED", "RUNNING"}


def test_a_success_replaces_the_failure(
    store: Store, put: Put, make_job: Callable[..., Job], mlflow_runs: Runs
) -> None:
    job = make_job()
    put(job, failed=True)
    sync(store, store.mlflow_uri)
    put(job, failed=True, minutes=5)
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1, replaced=1)
    put(job, minutes=10)
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1, replaced=1)
    (only,) = mlflow_runs(store.mlflow_uri)
    assert only.data.tags["symbench.status"] == "succeeded"
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=1)


def test_runs_of_another_store_are_never_deleted(
    store: Store, put: Put, make_job: Callable[..., Job], make_record: Put, mlflow_runs: Runs, tmp_path: Path
) -> None:
    other = Store(tmp_path / "colleague")
    other.write(make_record(failed=True), [])
    assert sync(other, store.mlflow_uri).logged == 1
    put(minutes=10)
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1)
    assert len(mlflow_runs(store.mlflow_uri)) == 2


def test_a_deleted_experiment_comes_back(store: Store, put: Put, mlflow_runs: Runs) -> None:
    put()
    sync(store, store.mlflow_uri)
    client = connect(store.mlflow_uri)
    client.delete_experiment(client.get_experiment_by_name("symbench/quick").experiment_id)
    assert sync(store, store.mlflow_uri).failed == 0
    assert len(mlflow_runs(store.mlflow_uri)) == 1


def test_one_record_that_mlflow_refuses_does_not_hold_up_the_others(
    store: Store, put: Put, make_job: Callable[..., Job], monkeypatch: Any
) -> None:
    from mlflow import MlflowClient

    records = [put(make_job(seed)) for seed in range(4)]
    original = MlflowClient.create_run

    def refusing(self: Any, experiment_id: str, *args: Any, **options: Any) -> Any:
        if options["tags"].get("symbench.digest") == records[1].digest:
            raise OSError("disk full")
        return original(self, experiment_id, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", refusing)
        result = sync(store, store.mlflow_uri)
    assert (result.logged, result.failed, result.reason) == (3, 1, "disk full")
    assert "1 not logged (disk full)" in str(result)
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1, skipped=3)


def test_an_mlflow_that_is_gone_is_one_sentence(store: Store, put: Put, monkeypatch: Any) -> None:
    put()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = sync(store, "http://user:secret@127.0.0.1:9")
    assert (result.logged, result.failed) == (0, 1)
    assert "http://127.0.0.1:9" in str(result) and "secret" not in str(result)


WORKER = """
import json, sys
from pathlib import Path
from harness.records.record import Record
from harness.spec import Job
from harness.tracking import RunTracker, TrackerHandle, sync
from harness.records.store import Store
root, handle, digests = Path(sys.argv[1]), TrackerHandle(**json.loads(sys.argv[2])), json.loads(sys.argv[3])
store = Store(root)
for digest in digests:
    record = store.read(digest)
    tracker = RunTracker(handle, Job(spec=record.spec, suite=record.suite), record.description)
    for step in range(100):
        tracker.log(step, {"loss": step, "accuracy": -step})
    tracker.finish(record, {})
    assert tracker.lost is None, tracker.lost
"""


def test_four_processes_lose_nothing(store: Store, put: Put, make_job: Callable[..., Job], mlflow_runs: Runs) -> None:
    records = [put(make_job(seed)) for seed in range(24)]
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "four", store.root)
    handle = json.dumps(vars(tracker.handle))
    digests = [record.digest for record in records]
    processes = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(store.root), handle, json.dumps(digests[part::4])])
        for part in range(4)
    ]
    assert [process.wait(60) for process in processes] == [0] * 4
    tracker.finish("succeeded")
    client, runs = connect(store.mlflow_uri), mlflow_runs(store.mlflow_uri)
    assert sorted(run.data.tags["symbench.digest"] for run in runs) == sorted(digests)
    for run in runs:
        assert run.info.status == "FINISHED"
        for name, sign in (("loss", 1), ("accuracy", -1)):
            history = client.get_metric_history(run.info.run_id, name)
            assert sorted(item.value * sign for item in history) == list(range(100))
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=24)


def test_a_new_database_is_created_once_by_two_processes(store: Store, put: Put, mlflow_runs: Runs) -> None:
    record = put()
    Path(store.root, "mlflow.db").unlink()
    code = (
        "import sys; from pathlib import Path; from harness.records.store import Store\n"
        "from harness.tracking import sync\n"
        "store = Store(Path(sys.argv[1])); print(sync(store, store.mlflow_uri).logged)"
    )
    words = [sys.executable, "-c", code, str(store.root)]
    pair = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(process.communicate(timeout=60)[0].strip() for process in pair) == ["0", "1"]
    (only,) = mlflow_runs(store.mlflow_uri)
    assert only.data.tags["symbench.digest"] == record.digest
