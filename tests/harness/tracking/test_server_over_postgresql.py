"""The server that ray_configs/mlflow starts, over a real PostgreSQL: many workers at once, and a server that dies."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, SyncResult, sync
from harness.tracking.connection import connect

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "ray_configs" / "mlflow" / "server.sh"
EXECUTION = ROOT / "tests" / "harness" / "execution"
WORKERS, RUNS, STEPS = 8, 2, 40


def command(name: str) -> str | None:
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(beside[-1]) if beside else None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(happened: Callable[[], bool], seconds: float, process: subprocess.Popen[Any]) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None and time.monotonic() < end, f"{process.args} did not get there"
        time.sleep(0.05)


def ended(process: subprocess.Popen[Any], how: signal.Signals) -> None:
    os.killpg(process.pid, how)
    process.wait(30)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty database of a PostgreSQL of its own, on loopback."""
    initdb, postgres = command("initdb"), command("postgres")
    if initdb is None or postgres is None:
        reason = "PostgreSQL (initdb and postgres) is needed, and is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="sb", dir="/tmp", ignore_cleanup_errors=True) as name:
        user: dict[str, Any] = {}
        if os.geteuid() == 0:  # as which PostgreSQL refuses to run
            nobody = pwd.getpwnam("nobody")
            os.chown(name, nobody.pw_uid, nobody.pw_gid)
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        folder, port = f"{name}/db", free_port()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": name, **user}
        making = [initdb, "-D", folder, "-U", "symbench", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        made = subprocess.run(making, **quiet)
        assert made.returncode == 0, made.stderr.decode()
        words = [postgres, "-D", folder, "-k", name, "-h", "127.0.0.1", "-p", str(port), "-F"]
        server = subprocess.Popen(words, start_new_session=True, **(quiet | {"stderr": subprocess.DEVNULL}))
        try:
            until(lambda: answers(port), 30, server)
            create_database(port)
            yield f"postgresql://symbench@127.0.0.1:{port}/symbench"
        finally:
            ended(server, signal.SIGINT)


def create_database(port: int) -> None:
    import psycopg2

    connection = psycopg2.connect(host="127.0.0.1", port=port, user="symbench", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("create database symbench")
    connection.close()


def answers(port: int) -> bool:
    import psycopg2

    try:
        psycopg2.connect(host="127.0.0.1", port=port, user="symbench", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


@contextmanager
def serving(database: str, artifacts: Path, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The server's address and process, killed at the end where it still runs."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE": database,
        "PORT": str(port),
        "ARTIFACTS": str(artifacts),
        "WORKERS": "2",
    }
    url = f"http://127.0.0.1:{port}"
    with open(f"{artifacts}.log", "wb") as log:
        process = subprocess.Popen(
            ["bash", str(SCRIPT)], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until(lambda: status(f"{url}/health") == 200, 180, process)
        yield url, process
    finally:
        if process.poll() is None:
            ended(process, signal.SIGKILL)


def status(url: str, host: str | None = None) -> int | None:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        return int(urllib.request.urlopen(request, timeout=10).status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_many_workers_log_at_once_and_a_server_that_dies_costs_no_run(
    database: str,
    tmp_path: Path,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Callable[..., list[Any]],
) -> None:
    artifacts, port = tmp_path / "artifacts", free_port()
    with serving(database, artifacts, port) as (url, server):
        only_for_this_machine(url, server)
        every_run_and_metric_of_many_workers(url, tmp_path, make_job, make_record, mlflow_runs)
        store = a_launch_outlives(server, url, tmp_path)
    digests = set(store.statuses())
    with serving(database, artifacts, port) as (url, _):
        before = {run.data.tags["symbench.digest"] for run in whole(mlflow_runs(url)) if of(run, digests)}
        assert len(before) < len(digests)
        result = sync(store, url)
        assert (result.logged, result.failed) == (len(digests - before), 0), result
        mirrors = [run.data.tags["symbench.digest"] for run in whole(mlflow_runs(url)) if of(run, digests)]
        assert sorted(mirrors) == sorted(digests)
        assert sync(store, url) == SyncResult(skipped=len(digests))


def only_for_this_machine(url: str, server: subprocess.Popen[bytes]) -> None:
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    listening = [item for process in family for item in process.net_connections("inet") if item.status == "LISTEN"]
    assert {item.laddr.ip for item in listening} == {"127.0.0.1"}
    assert len(family) <= 6  # the server, its workers, and none of the ten that run jobs
    assert "postgresql" not in " ".join(word for process in family for word in process.cmdline())
    assert status(url) == status(url, f"localhost:{url.rpartition(':')[2]}") == 200
    assert status(url, "evil.example") == status(url, "10.0.0.5:5000") == 403


def every_run_and_metric_of_many_workers(
    url: str,
    tmp_path: Path,
    make_job: Callable[..., Job],
    make_record: Callable[..., Record],
    mlflow_runs: Callable[..., list[Any]],
) -> None:
    tracker = LaunchTracker.start(url, "quick", "many", Store(tmp_path / "many").root)
    assert tracker.lost is None
    records = [make_record(make_job(seed)) for seed in range(WORKERS * RUNS)]
    wishes = [{"handle": asdict(tracker.handle), "record": item.to_dict(), "steps": STEPS} for item in records]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("symbench_test_loggers.py"))],
        input=json.dumps([wishes[first::WORKERS] for first in range(WORKERS)]),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    tracker.finish()
    found = {run.data.tags["symbench.digest"]: run for run in mlflow_runs(url)}
    assert found.keys() == {record.digest for record in records}
    client = connect(url)
    for record in records:
        run = found[record.digest]
        assert run.info.status == "FINISHED" and "symbench.finished" in run.data.tags
        for name, values in {
            "loss": [record.spec.seed + step / 100 for step in range(STEPS)],
            "accuracy": [step / 50 for step in range(STEPS)],
            "test/mse": [record.metrics["mse"]],
        }.items():
            history = sorted(client.get_metric_history(run.info.run_id, name), key=lambda point: point.step)
            assert [point.value for point in history] == values
    artifacts = [file.path for file in client.list_artifacts(found[records[-1].digest].info.run_id)]
    assert sorted(artifacts) == ["record.json", "report.md", "run.log", "spec.json"]


def a_launch_outlives(server: subprocess.Popen[bytes], url: str, tmp_path: Path) -> Store:
    """A launch of six runs, and the server killed once one of them has its record."""
    root = tmp_path / "store"
    wish = {"jobs": [["sleep", seed, {"seconds": 1.0}] for seed in range(6)], "slots": 2}
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{EXECUTION}",
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    }
    words = [sys.executable, str(EXECUTION / "symbench_test_driver.py"), str(root), json.dumps(wish)]
    launch = subprocess.Popen(
        words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: bool(list(root.glob("records/*.json"))), 180, launch)
    ended(server, signal.SIGKILL)
    out, err = launch.communicate(timeout=120)
    assert launch.returncode == 0, err
    result = json.loads(out)
    assert len(result["succeeded"]) == 6 and result["failed"] == {}
    return Store(root)


def whole(runs: list[Any]) -> list[Any]:
    return [run for run in runs if run.info.status == "FINISHED" and "symbench.finished" in run.data.tags]


def of(run: Any, digests: set[str]) -> bool:
    return run.data.tags["symbench.digest"] in digests


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("", "such as postgresql://symbench@127.0.0.1/symbench, without a password"),
        ("postgresql://symbench:hidden@127.0.0.1/symbench", "DATABASE holds a password: put it into ~/.pgpass"),
        ("sqlite:///mlflow.db", "DATABASE is no address of PostgreSQL"),
    ],
)
def test_the_script_refuses_what_it_should(address: str, sentence: str) -> None:
    done = subprocess.run(
        ["bash", str(SCRIPT)], env={**os.environ, "DATABASE": address}, capture_output=True, text=True
    )
    assert done.returncode in (1, 2)
    assert sentence in done.stderr and "hidden" not in done.stderr
