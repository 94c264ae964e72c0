"""Whatever MLflow does, a run goes on, ends in bounded time, and is completed later."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sqlite3
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.records.history import HistoryRow
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, RunTracker, SyncResult, TrackerHandle, connection, launch, run, sync
from harness.tracking.connection import SETTINGS, connect, load, within
from harness.tracking.identity import origin
from harness.tracking.server import running


@pytest.fixture
def make_handle(store: Store) -> Callable[[str], TrackerHandle]:
    def make(uri: str) -> TrackerHandle:
        return TrackerHandle(uri=uri, suite="quick", launch_id="x", store=origin(store.root), experiment_id="1")

    return make


def test_a_server_that_never_answers_costs_one_bounded_wait(
    black_hole: str,
    store: Store,
    make_handle: Callable[[str], TrackerHandle],
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(launch, "SERVER_SECONDS", 1.0)
    monkeypatch.setattr(run, "FINISH_SECONDS", 1.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")

    began = time.monotonic()
    lost = LaunchTracker.start(black_hole, "quick", "x", store.root)
    assert time.monotonic() - began < 4.0  # and not the 5 s of a request
    assert lost.lost is not None and "no answer within 1 s" in lost.lost and "symbench sync" in lost.lost
    assert lost.handle.lost == lost.lost

    tracker = RunTracker(make_handle(black_hole), make_job(), make_record().description)
    waits = []
    for step in range(500):
        began = time.perf_counter()
        tracker.log(step, {"loss": 1.0, "accuracy": 0.5})
        waits.append(time.perf_counter() - began)
    assert statistics.median(waits) < 1e-3
    assert sum(waits) < 0.5
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        tracker.finish(make_record(), {})
    assert 0.9 < time.monotonic() - began < 4.0
    (warning,) = (record for record in caplog.records if black_hole in record.getMessage())
    assert warning.levelname == "WARNING" and "symbench sync" in warning.getMessage()

    began = time.monotonic()
    following = RunTracker(make_handle(black_hole), make_job(1), make_record().description)
    following.log(0, {"loss": 1.0})
    following.finish(make_record(), {})
    assert time.monotonic() - began < 0.9  # it does not wait again
    assert following.lost


def test_a_lost_handle_mirrors_nothing(
    store: Store, make_job: Callable[..., Job], make_record: Callable[..., Record]
) -> None:
    tracker = LaunchTracker.start("nonsense://nowhere", "quick", "x", store.root)
    assert tracker.lost
    follower = RunTracker(tracker.handle, make_job(), make_record().description)
    follower.log(0, {"loss": 1.0})
    follower.finish(make_record(), {})
    tracker.finish()
    assert follower.lost == tracker.lost


def test_an_abandoned_mirror_ends_and_leaves_its_run_to_the_launch(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Callable[..., list[Any]],
) -> None:
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "x", store.root)
    follower = RunTracker(tracker.handle, make_job(), make_record().description)
    while not mlflow_runs(store.mlflow_uri):
        time.sleep(0.1)
    follower.abandon()
    follower._thread.join(20)
    assert not follower._thread.is_alive()
    assert [found.info.status for found in mlflow_runs(store.mlflow_uri)] == ["RUNNING"]
    tracker.finish()
    sync(store, store.mlflow_uri)
    assert "RUNNING" not in [found.info.status for found in mlflow_runs(store.mlflow_uri)]


def test_a_server_killed_midway_neither_slows_the_run_nor_loses_it(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "PERIOD_SECONDS", 0.2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    job, record = make_job(), make_record(finished="2099-01-01T00:00:00.000+00:00")
    rows = [HistoryRow(step, "loss", float(step), step / 100) for step in range(200)]
    with running(store.mlflow_uri, store.root, 0) as (url, server):
        tracker = LaunchTracker.start(url, "quick", "x", store.root)
        assert tracker.lost is None
        follower = RunTracker(tracker.handle, job, make_record().description)
        began = time.monotonic()
        for row in rows:
            if row.step == 100:
                until = time.monotonic() + 20
                while not any(found.data.metrics for found in mlflow_runs(store.mlflow_uri)):
                    assert time.monotonic() < until
                    time.sleep(0.05)
                os.killpg(server.pid, signal.SIGKILL)
                began = time.monotonic()
            follower.log(row.step, {row.name: row.value})
        assert time.monotonic() - began < 0.1
        began = time.monotonic()
        follower.finish(record, {})
        assert time.monotonic() - began < run.FINISH_SECONDS + 1
        assert follower.lost
        tracker.finish()
    store.write(record, rows)
    assert [found.info.status for found in mlflow_runs(store.mlflow_uri)] == ["RUNNING"]
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1, replaced=1)
    (whole,) = mlflow_runs(store.mlflow_uri)
    assert (whole.info.status, whole.data.metrics["loss"]) == ("FINISHED", 199.0)


def test_a_flood_drops_the_oldest_metrics_and_sync_brings_them(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "CAPACITY", 100)
    job, record = make_job(), make_record(finished="2099-01-01T00:00:00.000+00:00")
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "x", store.root)
    follower = RunTracker(tracker.handle, job, record.description)
    while not mlflow_runs(store.mlflow_uri):
        time.sleep(0.1)
    time.sleep(0.5)
    for step in range(1000):
        follower.log(step, {"loss": float(step)})
    follower.finish(record, {})
    assert follower.dropped == 900
    (partial,) = mlflow_runs(store.mlflow_uri)
    assert partial.info.status == "FINISHED" and "symbench.finished" not in partial.data.tags
    assert partial.data.metrics["loss"] == 999.0
    store.write(record, [HistoryRow(step, "loss", float(step), step / 100) for step in range(1000)])
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1, replaced=1)


def test_a_locked_database_ends_in_time(
    store: Store,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "FINISH_SECONDS", 1.0)
    monkeypatch.setattr(launch, "FINISH_SECONDS", 1.0)
    tracker = LaunchTracker.start(store.mlflow_uri, "quick", "x", store.root)
    blocker = sqlite3.connect(store.root / "mlflow.db")
    blocker.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    follower = RunTracker(tracker.handle, make_job(), make_record().description)
    follower.log(0, {"loss": 1.0})
    follower.finish(make_record(), {})
    tracker.finish()
    assert 1.8 < time.monotonic() - began < 4.0
    assert follower.lost
    blocker.close()


def test_a_database_file_of_another_machine_is_not_touched(
    make_handle: Callable[[str], TrackerHandle],
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    tmp_path: Path,
) -> None:
    handle = replace(make_handle(f"sqlite:///{tmp_path / 'far.db'}"), store="driver-host:/shared/store")
    follower = RunTracker(handle, make_job(), make_record().description)
    follower.finish(make_record(), {})
    assert follower.lost == "its database is a file on driver-host"
    assert not (tmp_path / "far.db").exists()


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    load()
    assert {name: os.environ[name] for name in SETTINGS} == SETTINGS | {"MLFLOW_HTTP_REQUEST_TIMEOUT": "77"}


def test_within_hands_on_what_the_action_does() -> None:
    assert within(5.0, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 // 0)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        within(0.05, lambda: time.sleep(0.3))


def test_an_mlflow_that_kept_waiting_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(connection.time, "monotonic", lambda: now[0])
    outages = connection.Outages()
    outages.report("http://dead")
    for later, lasts in ((1, True), (connection.OUTAGE_SECONDS - 1, True), (connection.OUTAGE_SECONDS + 1, False)):
        now[0] = 1000.0 + later
        assert outages.lasts("http://dead") == lasts and not outages.lasts("http://other")
    assert connection.OUTAGE_SECONDS >= 60


def test_a_database_that_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    """MLflow itself would try again for two minutes."""
    (tmp_path / "torn.db").write_text("no database, but long enough to be read as one" * 100)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(sqlite3.DatabaseError):
        connect(f"sqlite:///{tmp_path / 'torn.db'}")
    with pytest.raises(OSError):
        connect(f"postgresql://user:word@127.0.0.1:{port}/mlflow")
    assert time.monotonic() - began < 20


class Experiments:
    """An MLflow in which another process makes the experiment first."""

    def __init__(self, found: bool) -> None:
        self.found, self.locations = found, list[str | None]()
        tags = {"mlflow.note.content": "mine"}
        self.experiment = type("Experiment", (), {"experiment_id": "7", "lifecycle_stage": "active", "tags": tags})()
        self.tagged = dict[str, str]()

    def get_experiment_by_name(self, name: str) -> Any:
        return self.experiment if self.found and self.locations else None

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        self.tagged[key] = value

    def create_experiment(self, name: str, artifact_location: str | None, tags: dict[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        self.locations.append(artifact_location)
        raise MlflowException("it exists")


def test_an_experiment_that_another_process_has_just_made_is_used(tmp_path: Path) -> None:
    made = Experiments(found=True)
    assert connection.experiment(made, "http://host", "quick", tmp_path) == "7"  # type: ignore[arg-type]
    assert made.locations == [None]  # a server knows itself where artifacts go
    assert made.tagged == {"mlflow.experimentKind": "custom_model_development"}  # the description is a user's
    own = Experiments(found=True)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert connection.experiment(own, uri, "quick", tmp_path) == "7"  # type: ignore[arg-type]
    assert own.locations == [(tmp_path / "mlartifacts").as_uri()]
    with pytest.raises(Exception, match="it exists"):
        connection.experiment(Experiments(found=False), uri, "quick", tmp_path)  # type: ignore[arg-type]


def test_reasons_are_short_and_hold_no_secret() -> None:
    wrapped = RuntimeError("Failed to reach it")
    wrapped.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert connection.reason(wrapped) == "Connection refused"
    said = connection.reason(ValueError("no answer from http://user:PLANTED@host\nafter 3 tries"))
    assert said == "no answer from http://host"
    assert len(connection.reason(ValueError("x" * 10_000))) <= 200
