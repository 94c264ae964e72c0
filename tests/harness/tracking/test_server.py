"""`symbench ui`: MLflow's pages over a store, on loopback, and nothing left when it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import harness
from harness.errors import SymbenchError
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, RunTracker, SyncResult, serve, server, sync
from harness.tracking.connection import connect

SERVE = """
import sys
from pathlib import Path
from harness.records.store import Store
from harness.tracking import serve
from harness.utils.interrupts import interruptible
with interruptible():
    serve(Store(Path(sys.argv[1])), 0, lambda text: print(text, flush=True))
"""


def test_the_pages_are_on_loopback_alone_and_all_processes_end(
    store: Store,
    put: Callable[..., Record],
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    tmp_path: Path,
) -> None:
    record = put()
    sync(store, store.mlflow_uri)
    environment = {**os.environ, "PYTHONPATH": str(Path(harness.__file__).parents[1])}
    words = [sys.executable, "-c", SERVE, str(store.root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as user:
        assert user.stdout is not None
        try:
            lines = [user.stdout.readline() for _ in range(4)]
            url, compare = lines[1].split()[-1], lines[2].split()[-1]
            family = psutil.Process(user.pid).children(recursive=True)

            listening = [
                item for process in family for item in process.net_connections("inet") if item.status == "LISTEN"
            ]
            assert {item.laddr.ip for item in listening} == {"127.0.0.1"}
            assert len(family) == 2
            assert urllib.request.urlopen(f"{url}/health", timeout=10).read() == b"OK"

            assert compare.startswith(f"{url}/#/experiments/")
            client = connect(url)
            [experiment] = [one for one in client.search_experiments() if one.name == "symbench/quick"]
            key = urllib.parse.parse_qs(compare.partition("?")[2])["viewStateShareKey"][0]
            assert f"mlflow.sharedViewState.{key}" in experiment.tags
            [run] = client.search_runs([experiment.experiment_id])
            run_id = run.info.run_id
            assert run.data.tags["symbench.digest"] == record.digest
            with urllib.request.urlopen(f"{url}/get-artifact?path=report.md&run_uuid={run_id}", timeout=10) as page:
                assert page.read().startswith(b"# nbody x gnn-ga")

            _is_the_same_through_the_server(url, store, make_job(7), make_record, tmp_path)

            user.send_signal(signal.SIGINT)
            time.sleep(0.1)
            user.send_signal(signal.SIGINT)
            assert user.wait(30) == 0
            assert not [
                process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            ]
            assert not list(tmp_path.glob("ml*"))
        finally:
            user.terminate()


def _is_the_same_through_the_server(
    url: str, store: Store, job: Job, make_record: Callable[..., Record], tmp_path: Path
) -> None:
    """A run logged to the server as it went, with its artifacts, needs no sync."""
    tracker = LaunchTracker.start(url, "served", "x", store.root)
    assert tracker.lost is None
    record = make_record(job)
    follower = RunTracker(tracker.handle, job, record.description)
    follower.log(0, {"loss": 1.0})
    follower.finish(record, {"log.txt": "ünï"})
    assert follower.lost is None
    tracker.finish()
    client = connect(url)
    experiment = client.get_experiment_by_name("symbench/served")
    (found,) = client.search_runs([experiment.experiment_id], "tags.`symbench.digest` LIKE '%'")
    assert found.data.tags["symbench.finished"] == record.finished
    assert found.data.metrics["loss"] == 1.0
    names = {item.path for item in client.list_artifacts(found.info.run_id)}
    assert names == {"spec.json", "record.json", "report.md", "log.txt"}
    local = client.download_artifacts(found.info.run_id, "log.txt", str(tmp_path))
    assert Path(local).read_text("utf-8") == "ünï"
    os.unlink(local)


def test_each_task_of_each_suite_has_a_page_with_all_its_runs(
    store: Store, put: Callable[..., Record], make_job: Callable[..., Job]
) -> None:
    assert "'symbench sync' logs those of the store" in server.pages("http://x", store.mlflow_uri)
    put(make_job(0, suite="old"))
    for seed in (1, 2):
        put(make_job(seed, suite="new"), minutes=seed)
    put(make_job(3, suite="new"), minutes=3, failed=True)
    put(make_job(4, suite="new", task="pattern"), minutes=4)
    assert sync(store, store.mlflow_uri) == SyncResult(logged=5)
    first, *lines = server.pages("http://127.0.0.1:5/", store.mlflow_uri).splitlines()
    assert first == "MLflow: http://127.0.0.1:5/"
    said = [line.partition(": ")[0] for line in lines]
    assert said == [
        "nbody, suite new, 3 runs by mse",
        "nbody, suite old, 1 run by mse",
        "pattern, suite new, 1 run by mse",
    ]
    assert all(": http://127.0.0.1:5/#/experiments/" in line for line in lines)
    [only] = server.pages("http://x", store.mlflow_uri, task="nbody", suite="old").splitlines()[1:]
    assert only.startswith("nbody, suite old")
    with pytest.raises(
        SymbenchError, match=r"no runs of task qm9: it has nbody \(new\), nbody \(old\), pattern \(new\)"
    ):
        server.pages("http://x", store.mlflow_uri, task="qm9")


def test_a_page_that_loads_only_a_part_says_so(
    store: Store, put: Callable[..., Record], make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (1, 2):
        put(make_job(seed))
    sync(store, store.mlflow_uri)
    assert "Load more" not in server.pages("http://x", store.mlflow_uri)
    monkeypatch.setattr(server, "LOADED", 1)
    assert server.pages("http://x", store.mlflow_uri).endswith("'Load more' below its list adds the next ones.")


def test_given_runs_are_compared_and_no_others(
    store: Store, put: Callable[..., Record], make_job: Callable[..., Job]
) -> None:
    records = [put(make_job(seed, suite=suite), minutes=seed) for seed, suite in enumerate(("one", "two", "two"))]
    sync(store, store.mlflow_uri)
    wanted = [records[2].digest, records[0].digest]
    address = server.compare_url_of([*wanted, *wanted, "0" * 16], "http://127.0.0.1:5", store.mlflow_uri)
    assert address is not None and address[1] == 2
    asked = urllib.parse.parse_qs(address[0].partition("?")[2])
    client = connect(store.mlflow_uri)
    runs = [client.get_run(run_id) for run_id in json.loads(asked["runs"][0])]
    assert [run.data.tags["symbench.digest"] for run in runs] == wanted
    assert json.loads(asked["experiments"][0]) == [run.info.experiment_id for run in runs]
    assert server.compare_url_of(["0" * 16], "http://127.0.0.1:5", store.mlflow_uri) is None


def test_a_taken_port_is_one_sentence(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SymbenchError, match="choose another --port"):
        serve(store, taken.getsockname()[1], lambda text: None)


def test_a_server_that_does_not_start_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(SymbenchError, match="did not start"), server.running("nonsense://nowhere", tmp_path, 0):
        pass
    assert time.monotonic() - began < 30
    assert not [child for child in psutil.Process().children(recursive=True) if "mlflow" in " ".join(child.cmdline())]


def test_a_server_of_ones_own_is_only_pointed_at(
    store: Store, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", black_hole.replace("//", "//user:secret@"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SymbenchError, match="check MLFLOW_TRACKING_URI") as caught:
        serve(store, 0, lambda text: None)
    assert "secret" not in str(caught.value)


def test_the_server_has_no_other_database_and_its_address_in_no_list_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[str, Any] = {}

    def start(words: list[str], **options: Any) -> Any:
        started.update(options, words=words)
        raise InterruptedError

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://another:5000")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.setattr(server.subprocess, "Popen", start)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(InterruptedError), server.running(uri, tmp_path, 0):
        pass
    environment = started["env"]
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri and "MLFLOW_TRACKING_URI" not in environment
    assert environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"  # what the user set
    assert not any("mlflow.db" in word for word in started["words"])
    assert started["start_new_session"] and "127.0.0.1" in started["words"]


def test_all_processes_of_a_group_end_also_those_that_do_not_want_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOP_SECONDS", 0.5)
    stubborn = "trap '' TERM; sleep 300 & while :; do sleep 1; done"
    process = subprocess.Popen(["sh", "-c", f'sh -c "{stubborn}" & wait'], start_new_session=True)
    family: list[psutil.Process] = []
    until = time.monotonic() + 10
    while len(family) < 2 and time.monotonic() < until:
        family = psutil.Process(process.pid).children(recursive=True)
    server._end(process)
    assert len(family) >= 2 and psutil.wait_procs(family, timeout=5)[1] == []
    assert process.poll() is not None
