"""Sync makes MLflow mirror the store, and a second one finds nothing to do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, RunTracker, SyncResult, content, sync
from harness.tracking.connection import connect
from harness.tracking.writing import open_run, send

FAILURES: int = sys.modules["harness.tracking.sync"].FAILURES  # type: ignore[attr-defined]  # the package has a function of that name

Put = Callable[..., Record]
Runs = Callable[..., list[Any]]


@pytest.fixture
def begin(store: Store, make_record: Put, mlflow_runs: Runs) -> Callable[..., None]:
    """Begins a run of a new launch in MLflow and returns once it is seen there; it is never ended."""

    def start(launch: str, job: Job, root: Path | None = None) -> None:
        before = len(mlflow_runs(store.mlflow_uri))
        tracker = LaunchTracker.start(store.mlflow_uri, "quick", launch, root or store.root)
        RunTracker(tracker.handle, job, make_record().description)
        while len(mlflow_runs(store.mlflow_uri)) == before:
            time.sleep(0.1)

    return start


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


def test_a_record_names_its_launch_or_the_sync(
    store: Store, put: Put, make_job: Callable[..., Job], mlflow_runs: Runs
) -> None:
    first, second = put(make_job(1)), put(make_job(2), minutes=10)
    store.write_launch("early", {"started": first.started, "digests": [first.digest, second.digest]})
    store.write_launch("late", {"started": second.started, "digests": [first.digest, second.digest]})
    Path(store.root, "launches", "broken.json").write_text("{")
    third = put(make_job(3))
    sync(store, store.mlflow_uri)
    tags = [run.data.tags for run in mlflow_runs(store.mlflow_uri)]
    launches = {of["symbench.digest"]: of["symbench.launch"] for of in tags}
    assert (launches[first.digest], launches[second.digest]) == ("early", "late")
    assert launches[third.digest].startswith("sync 20")
    assert mlflow_runs(store.mlflow_uri, parents=True) == []


def test_runs_that_earlier_versions_put_below_a_launch_are_taken_out_of_it(
    store: Store, put: Put, make_job: Callable[..., Job], mlflow_runs: Runs
) -> None:
    put(make_job(1))
    sync(store, store.mlflow_uri)
    client = connect(store.mlflow_uri)
    (ours,) = mlflow_runs(store.mlflow_uri)
    own = {key: ours.data.tags[key] for key in ("symbench.launch", "symbench.store", "symbench.store_id")}
    parents = [
        client.create_run(ours.info.experiment_id, tags=tags).info.run_id
        for tags in (own, own | {"symbench.store_id": "another"})
    ]
    theirs = {"symbench.digest": "0" * 16, "symbench.store_id": "another", "mlflow.parentRunId": parents[1]}
    client.create_run(ours.info.experiment_id, tags=theirs)
    client.set_tag(ours.info.run_id, "mlflow.parentRunId", parents[0])
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=1)
    assert [run.info.run_id for run in mlflow_runs(store.mlflow_uri, parents=True)] == [parents[1]]
    nested = {
        run.data.tags["symbench.digest"]: run.data.tags.get("mlflow.parentRunId")
        for run in mlflow_runs(store.mlflow_uri)
    }
    assert nested == {ours.data.tags["symbench.digest"]: None, "0" * 16: parents[1]}


def test_a_half_logged_run_is_replaced(
    store: Store, put: Put, make_job: Callable[..., Job], begin: Callable[..., None], mlflow_runs: Runs
) -> None:
    job = make_job()
    begin("killed", job)
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
    store: Store, put: Put, make_job: Callable[..., Job], begin: Callable[..., None], mlflow_runs: Runs
) -> None:
    job = make_job()
    put(job, failed=True)
    with store.lock():
        begin("retry", job)
        assert sync(store, store.mlflow_uri) == SyncResult(logged=1)
        assert sync(store, store.mlflow_uri) == SyncResult(skipped=1)
        assert {run.info.status for run in mlflow_runs(store.mlflow_uri)} == {"FAILED", "RUNNING"}


def test_what_an_ended_launch_left_running_is_ended(
    store: Store, put: Put, make_job: Callable[..., Job], begin: Callable[..., None], mlflow_runs: Runs
) -> None:
    put()
    never_finished = make_job(seed=1)
    begin("lost its server", never_finished)
    sync(store, store.mlflow_uri)
    ended = {run.data.tags["symbench.digest"]: run.info.status for run in mlflow_runs(store.mlflow_uri)}
    assert ended == {make_job().spec.digest: "FINISHED", never_finished.spec.digest: "KILLED"}


def test_what_another_store_runs_goes_on(
    store: Store, put: Put, tmp_path: Path, make_job: Callable[..., Job], begin: Callable[..., None], mlflow_runs: Runs
) -> None:
    put()
    other = Store(tmp_path / "other")
    begin("elsewhere", make_job(seed=1), root=other.root)
    sync(store, store.mlflow_uri)
    assert sorted(run.info.status for run in mlflow_runs(store.mlflow_uri)) == ["FINISHED", "RUNNING"]


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
    assert (result.logged, result.failed, result.unusable) == (0, 1, True)
    assert "http://127.0.0.1:9" in str(result) and "secret" not in str(result)


WORKER = """
import json, sys
from pathlib import Path
from harness.records.record import Record
from harness.spec import Job
from harness.tracking import RunTracker, TrackerHandle, run, sync
from harness.records.store import Store
run.FINISH_SECONDS = 60.0  # what is asked is that nothing is lost, not how busy the machine is
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
    assert [process.wait(300) for process in processes] == [0] * 4
    tracker.finish()
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


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[str]], list[str]]:
    """Lets MLflow take no run of these digests; gives the list of those that were tried."""
    from mlflow import MlflowClient

    original = MlflowClient.create_run

    def begin(digests: set[str]) -> list[str]:
        tried: list[str] = []

        def refusing(self: Any, experiment_id: str, *args: Any, **options: Any) -> Any:
            digest = options["tags"].get("symbench.digest")
            if digest in digests:
                tried.append(digest)
                raise OSError("disk full")
            return original(self, experiment_id, *args, **options)

        monkeypatch.setattr(MlflowClient, "create_run", refusing)
        return tried

    return begin


def test_what_is_outdated_stays_until_its_record_is_logged(
    store: Store, put: Put, make_job: Callable[..., Job], mlflow_runs: Runs, refuse: Callable[[set[str]], list[str]]
) -> None:
    put(make_job(0), failed=True), put(make_job(1))
    assert sync(store, store.mlflow_uri) == SyncResult(logged=2)
    digest = put(make_job(0), minutes=10).digest
    refused = refuse({digest})
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=1, failed=1, reason="disk full")
    assert refused == [digest]
    assert sorted(run.info.status for run in mlflow_runs(store.mlflow_uri)) == ["FAILED", "FINISHED"]
    refuse(set())
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1, replaced=1, skipped=1)


def test_an_mlflow_that_takes_nothing_is_not_asked_for_ever(
    store: Store, put: Put, make_job: Callable[..., Job], refuse: Callable[[set[str]], list[str]]
) -> None:
    tried = refuse({put(make_job(seed)).digest for seed in range(FAILURES + 4)})
    result = sync(store, store.mlflow_uri)
    assert (result.logged, result.failed, len(tried)) == (0, FAILURES + 4, FAILURES)
    assert not result.unusable


def test_a_run_that_was_cut_off_at_its_very_end_is_replaced(
    store: Store, put: Put, make_job: Callable[..., Job], mlflow_runs: Runs
) -> None:
    """All was said of it but that it has ended."""
    record = put(make_job(0))
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "killed", store.root)
    client, start = connect(store.mlflow_uri), content.milliseconds(record.started)
    run_id = open_run(client, tracker.handle.experiment_id, make_job(0), record.description, tracker.handle.home, start)
    send(client, run_id, content.closing_points(record), tags=content.closing_tags(record))
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1, replaced=1)
    assert [run.info.status for run in mlflow_runs(store.mlflow_uri)] == ["FINISHED"]
