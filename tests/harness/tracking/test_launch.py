"""How launches and their runs stand in MLflow, and what a run does where a call fails."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, RunTracker, SyncResult, launch, run, sync
from harness.tracking.connection import connect
from harness.tracking.writing import close_run, open_run

Runs = Callable[..., list[Any]]


def test_the_unfinished_runs_of_a_launch_end_with_it(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Runs,
) -> None:
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "one", store.root)
    client, handle = connect(store.mlflow_uri), tracker.handle
    open_run(client, handle.experiment_id, make_job(), make_record().description, handle.home, 0)
    foreign = client.create_run(handle.experiment_id, tags={"symbench.digest": "x", "symbench.store_id": "another"})
    tracker.finish()
    ended = {run.info.run_id: run.info.status for run in mlflow_runs(store.mlflow_uri)}
    assert ended.pop(foreign.info.run_id) == "RUNNING" and list(ended.values()) == ["KILLED"]


@pytest.mark.parametrize("fails", [run.ATTEMPTS - 1, run.ATTEMPTS])
def test_a_call_that_fails_is_made_again_and_loses_nothing(
    fails: int,
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr(run, "PERIOD_SECONDS", 0.01)
    original, left = MlflowClient.log_batch, [fails]

    def refusing(self: Any, run_id: str, *words: Any, **entries: Any) -> Any:
        if any(metric.key == "loss" for metric in entries["metrics"]) and left[0] > 0:
            left[0] -= 1
            raise OSError("the server restarts")
        return original(self, run_id, *words, **entries)

    monkeypatch.setattr(MlflowClient, "log_batch", refusing)
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "one", store.root)
    record = make_record(finished="2099-01-01T00:00:00.000+00:00")
    follower = RunTracker(tracker.handle, make_job(), record.description)
    for step in range(50):
        follower.log(step, {"loss": float(step)})
    until = time.monotonic() + 30
    while left[0] and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    for step in range(50, 60):
        follower.log(step, {"loss": float(step)})
    follower.finish(record, {})
    [found] = mlflow_runs(store.mlflow_uri)
    if fails < run.ATTEMPTS:
        assert follower.lost is None and found.info.status == "FINISHED"
        history = connect(store.mlflow_uri).get_metric_history(found.info.run_id, "loss")
        assert sorted(item.step for item in history) == list(range(60))
    else:
        assert follower.lost == "the server restarts" and found.info.status == "RUNNING"


def test_a_sync_sees_more_runs_than_a_page(
    store: Store, put: Callable[..., Record], make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["harness.tracking.sync"], "PAGE", 2)  # the package has a function of that name
    for seed in range(5):
        put(make_job(seed))
    assert sync(store, store.mlflow_uri) == SyncResult(logged=5)
    assert sync(store, store.mlflow_uri) == SyncResult(skipped=5)


def follow(store: Store, make_job: Callable[..., Job], make_record: Callable[..., Record]) -> tuple[RunTracker, Record]:
    """A run that has begun in MLflow, and the record that it will have."""
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "one", store.root)
    record = make_record(finished="2099-01-01T00:00:00.000+00:00")
    return RunTracker(tracker.handle, make_job(), record.description), record


def wait_until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that log something; an exception that is put in front of them is raised by the next that has losses."""
    from mlflow import MlflowClient

    calls: list[Any] = []
    original = MlflowClient.log_batch

    def logging(self: Any, run_id: str, *words: Any, **entries: Any) -> Any:
        if calls and isinstance(calls[0], Exception) and any(item.key == "loss" for item in entries["metrics"]):
            raise calls.pop(0)
        calls.append(entries)
        return original(self, run_id, *words, **entries)

    monkeypatch.setattr(MlflowClient, "log_batch", logging)
    return calls


def losses(calls: list[Any]) -> list[int]:
    return [item.step for call in calls for item in call["metrics"] if item.key == "loss"]


def test_calls_that_fail_now_and_then_lose_nothing_and_params_are_sent_once(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    sent: list[Any],
) -> None:
    monkeypatch.setattr(run, "PERIOD_SECONDS", 0.01)
    follower, record = follow(store, make_job, make_record)
    for step in range(2 * run.ATTEMPTS):
        sent.insert(0, OSError("the server is busy"))
        follower.log(step, {"loss": 1.0})
        wait_until(lambda step=step: step in losses([call for call in sent if isinstance(call, dict)]))
    follower.finish(record, {})
    assert follower.lost is None and losses(sent) == list(range(2 * run.ATTEMPTS))
    assert len([call for call in sent if call["params"]]) == 1


def test_what_could_not_be_sent_is_sent_at_the_end(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    sent: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(run, "PERIOD_SECONDS", 0.3)
    sent.insert(0, OSError("the server is busy"))
    follower, record = follow(store, make_job, make_record)
    for step in range(5):
        follower.log(step, {"loss": 1.0})
    with caplog.at_level("INFO"):
        wait_until(lambda: "did not take the metrics" in caplog.text)
    follower.finish(record, {})
    assert sorted(losses(sent)) == list(range(5)) and follower.lost is None


def test_a_run_that_no_longer_waits_leaves_nothing_begun(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "FINISH_SECONDS", 0.2)
    answer, original = threading.Event(), run.connect
    monkeypatch.setattr(run, "connect", lambda uri: (answer.wait(30), original(uri))[1])
    follower, record = follow(store, make_job, make_record)
    follower.finish(record, {})
    assert follower.lost == "no answer within 0.2 s"
    answer.set()
    follower._thread.join(10)
    assert not follower._thread.is_alive() and mlflow_runs(store.mlflow_uri) == []


@pytest.mark.parametrize("calls", range(4))
def test_a_run_is_closed_call_by_call_and_no_further_than_it_may(
    calls: int, make_record: Callable[..., Record]
) -> None:
    made: list[str] = []

    class Client:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *words, **options: made.append(name)

    def proceed() -> None:
        if len(made) == calls:
            raise InterruptedError

    with pytest.raises(InterruptedError) if calls < 3 else nullcontext():
        close_run(Client(), "x", make_record(), [], proceed=proceed)  # type: ignore[arg-type]
    assert made == ["log_batch", "log_artifacts", "set_terminated"][:calls]


def test_a_launch_that_cannot_be_ended_in_mlflow_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(uri: str) -> Any:
        raise MlflowException("the database http://user:PLANTED@host is of another version")

    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "one", store.root)
    monkeypatch.setattr(launch, "connect", refuse)
    tracker.finish()
    assert "could not be ended in MLflow (the database http://host is of another version)" in caplog.text
    lost = LaunchTracker.start("http://user:PLANTED@host:1", "quick", "two", store.root).lost
    assert lost is not None and "MLflow at http://host:1 cannot be used" in lost and "PLANTED" not in lost
