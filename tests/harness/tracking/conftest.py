from __future__ import annotations

import math
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.records.history import HistoryRow
from harness.records.record import Description, Failure, Record
from harness.records.store import Store
from harness.spec import Job, RunSpec
from harness.tracking import LaunchTracker, RunTracker, TrackerHandle, run
from harness.tracking.connection import Outages, connect
from harness.training.results import CurvePoint
from tasks.protocol import Protocol

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DESCRIPTION = Description(
    group="S_n x E(3)",
    metric="mse",
    direction="min",
    kind="symmetrized",
    base_model="gnn",
    sampler="ga",
    size_name="nodes",
    size=5,
)


@pytest.fixture(autouse=True)
def no_outage_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "outages", Outages())


@pytest.fixture(autouse=True)
def no_mirror_outlives_its_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ends the trackers that a test leaves behind, so that their warnings are not taken for those of the next test."""
    begun: list[RunTracker] = []
    begin = RunTracker.__init__

    def remembered(self: RunTracker, handle: TrackerHandle, job: Job, description: Description) -> None:
        begin(self, handle, job, description)
        begun.append(self)

    monkeypatch.setattr(RunTracker, "__init__", remembered)
    yield
    for tracker in begun:
        tracker._abandoned.set()
        tracker._ended.set()
    for tracker in begun:
        if tracker._thread.is_alive() and not tracker.lost:
            tracker._thread.join(run.FINISH_SECONDS)


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes two seconds to make one, so the tests share what it made."""
    store = Store(tmp_path_factory.mktemp("new"))
    uri = f"sqlite:///{store.root / 'mlflow.db'}"  # whatever the environment says
    assert LaunchTracker.start(uri, "unused", "unused", store.root).lost is None
    made = sqlite3.connect(store.root / "mlflow.db")
    made.executescript("DELETE FROM experiment_tags; DELETE FROM experiments WHERE experiment_id != 0;")
    made.close()
    return store.root / "mlflow.db"


@pytest.fixture
def store(tmp_path: Path, new_database: Path) -> Store:
    made = Store(tmp_path / "it's a störe #1")
    shutil.copy(new_database, made.root)
    return made


@pytest.fixture
def make_job() -> Callable[..., Job]:
    def make(seed: int = 0, *, suite: str = "quick", **changes: Any) -> Job:
        values = {
            "task": "nbody",
            "task_version": "1",
            "task_params": {"nodes": 5},
            "method": "gnn-ga",
            "method_version": "1+1",
            "base": {"width": 64},
            "sampler": {"scale": 0.5},
            "seed": seed,
            "protocol": "quick",
            "settings": Protocol(epochs=3),
        }
        return Job(spec=RunSpec(**values | changes), suite=suite)

    return make


@pytest.fixture
def make_record(make_job: Callable[..., Job]) -> Callable[..., Record]:
    """A record that began ``minutes`` after a fixed moment, one minute long; a failed one has no outcome."""

    def make(job: Job | None = None, *, failed: bool = False, minutes: float = 0.0, **changes: Any) -> Record:
        job = job or make_job()
        start = BEGIN + timedelta(minutes=minutes)
        outcome: Mapping[str, Any] = {
            "metrics": {"mse": 0.25, "wild": math.inf},
            "curve": tuple(CurvePoint(samples=k, value=1 / k, value_error=0.1 / k, variance=2 / k) for k in (1, 2, 64)),
            "cost": {"parameters": 1234.0, "train_seconds": 2.5},
            "notes": ("half precision was not used",),
        }
        values: dict[str, Any] = {
            "spec": job.spec,
            "suite": job.suite,
            "status": "failed" if failed else "succeeded",
            "description": DESCRIPTION,
            "started": start.isoformat(timespec="milliseconds"),
            "finished": (start + timedelta(minutes=1)).isoformat(timespec="milliseconds"),
            "provenance": {"host": "somewhere", "device": "cpu", "git_commit": "0123abc", "git_dirty": False},
            "failure": Failure(sentence="ValueError: no", traceback="Traceback ...") if failed else None,
        }
        return Record(**(values | ({} if failed else outcome) | changes))

    return make


@pytest.fixture
def put(store: Store, make_record: Callable[..., Record]) -> Callable[..., Record]:
    """Writes a record with a short history to the store and returns it."""

    def write(job: Job | None = None, **changes: Any) -> Record:
        record = make_record(job, **changes)
        rows = [HistoryRow(step, "train/loss", 1 / (step + 1), step / 10) for step in range(5)]
        store.write(record, rows)
        return record

    return write


@pytest.fixture
def mlflow_runs() -> Callable[..., list[Any]]:
    """All runs that mirror a record (``parents=True``: the runs for launches of earlier versions), oldest first."""

    def find(uri: str, *, parents: bool = False) -> list[Any]:
        client = connect(uri)
        ids = [item.experiment_id for item in client.search_experiments()]
        runs = client.search_runs(ids, max_results=5000, order_by=["attributes.start_time ASC"])
        return [run for run in runs if ("symbench.digest" in run.data.tags) != parents]

    return find


@pytest.fixture
def mirror_of(mlflow_runs: Callable[..., list[Any]]) -> Callable[[str], dict[str, Any]]:
    """All that MLflow says of the only run it has: params, tags, metric histories, artifacts, status, name and end."""

    def read(uri: str) -> dict[str, Any]:
        client = connect(uri)
        (only,) = mlflow_runs(uri)
        run_id = only.info.run_id
        folder = Path(client.download_artifacts(run_id, ""))
        return {
            "params": only.data.params,
            "tags": only.data.tags,
            "metrics": {
                name: sorted((item.step, repr(item.value)) for item in client.get_metric_history(run_id, name))
                for name in only.data.metrics
            },
            "artifacts": {path.name: path.read_text("utf-8") for path in folder.iterdir()},
            "status": only.info.status,
            "name": only.info.run_name,
            "end": only.info.end_time,
        }

    return read


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
