"""Whole launches, each in a process of its own: what they leave when they end, are interrupted or are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

import tasks
from harness.execution import dispatch
from harness.execution.cluster import MESSAGE_IF_KILLED
from harness.records.store import Store

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]
NO_HEAD = "The head of the Ray cluster does not answer any more"
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The drivers' temporary folder: its path is short, for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="sb", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, temporary: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a launch; ``before`` are words of a command that runs it."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{FOLDER}")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")  # what these tests are about needs no MLflow
    started: list[subprocess.Popen[str]] = []

    def start(store: Path, wish: dict[str, Any], *before: str, cwd: Path = tmp_path) -> subprocess.Popen[str]:
        command = [*before, sys.executable, str(FOLDER / "symbench_test_driver.py"), str(store), json.dumps(wish)]
        started.append(
            subprocess.Popen(
                command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def until_some_are_done(store: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while len(list(store.glob("records/*.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_launch_from_a_folder_with_other_tasks_in_it_leaves_nothing_behind(
    driver: Callable[..., subprocess.Popen[str]], tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for name in ("tasks", "harness"):
        decoy = tmp_path / "elsewhere" / name
        decoy.mkdir(parents=True)
        (decoy / "__init__.py").write_text("raise ImportError('the wrong package')")
    store = tmp_path / "store"
    process = driver(store, {"jobs": [["nothing", 0, {}], ["die_once", 1, {}]]}, cwd=tmp_path / "elsewhere")
    result = result_of(process)
    assert len(result["succeeded"]) == 2
    assert result["left"] == []
    assert result["environment_kept"]
    assert result["folder_kept"]
    assert list(temporary.glob("symbench-*")) == []
    for record in Store(store).records():
        assert record.notes[0] == os.path.realpath(tasks.__file__)
    account = json.loads((store / "launches" / f"{result['launch_id']}.json").read_text())
    assert account["status"] == "succeeded"
    assert sorted(account["digests"]) == sorted(result["succeeded"])
    with sqlite3.connect(store / "mlflow.db") as database:
        finished = database.execute("select count(*) from runs where status = 'FINISHED'").fetchone()[0]
    assert finished == 2


@pytest.mark.parametrize("asked_by", ["Ctrl-C", "SIGTERM"])
def test_an_interrupted_launch_keeps_what_is_finished_and_frees_store_and_machine(
    driver: Callable[..., subprocess.Popen[str]], tmp_path: Path, temporary: Path, asked_by: str
) -> None:
    store = tmp_path / "store"
    jobs = [["nothing", 0, {}], *(["sleep", seed, {"seconds": 120}] for seed in range(1, 6))]
    process = driver(store, {"jobs": jobs})
    until_some_are_done(store, 1, process)
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 5
    if asked_by == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the whole group
    else:
        process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert err.rstrip().endswith("KeyboardInterrupt") == (asked_by == "Ctrl-C"), err
    _, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []
    assert list(temporary.glob("symbench-*")) == []
    opened = Store(store)
    assert list(opened.statuses().values()) == ["succeeded"]
    with opened.lock():
        pass
    [account] = [json.loads(path.read_text()) for path in (store / "launches").glob("*.json")]
    assert account["status"] == "interrupted"


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs a process namespace of its own")
def test_after_the_driver_was_killed_the_next_launch_does_the_rest(
    driver: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    jobs = [["sleep", seed, {"seconds": 0.5}] for seed in range(8)]
    killed = driver(store, {"jobs": jobs}, *NAMESPACE)
    until_some_are_done(store, 2, killed)
    killed.kill()  # ends the namespace, and so every process of this Ray
    killed.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in (store / "records").glob("*.json")}
    assert 2 <= len(before) < 8
    result = result_of(driver(store, {"jobs": jobs}, *NAMESPACE))
    assert result["todo"] == 8 - len(before)
    assert len(result["succeeded"]) == result["todo"]
    assert list(Store(store).statuses().values()) == ["succeeded"] * 8
    after = {path.name: path.stat().st_mtime_ns for path in (store / "records").glob("*.json")}
    assert {name: after[name] for name in before} == before


def test_of_two_launches_on_one_store_the_second_is_turned_away(
    driver: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    jobs = [["sleep", seed, {"seconds": 1.0}] for seed in range(4)]
    first = driver(store, {"jobs": jobs})
    while not (store / "launch.holder.json").exists():
        time.sleep(0.02)
    second = driver(store, {"jobs": jobs})
    _, err = second.communicate(timeout=60)
    assert second.returncode != 0
    assert f"Another launch (pid {first.pid} on {socket.gethostname()}, since " in err
    assert len(result_of(first)["succeeded"]) == 4
    assert list(Store(store).statuses().values()) == ["succeeded"] * 4


CLUSTER = """
set -e
ip link set lo up
mount -t tmpfs tmpfs /dev/shm
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$0/token
printf 0123456789abcdef0123456789abcdef > $0/token
ray start --head --port=6400 --num-cpus=1 --include-dashboard=false --temp-dir=$0/r \
    --object-store-memory=134217728 --disable-usage-stats > $0/ray.log 2>&1
exec "$@"
"""


def needs_namespaces(test: Callable[..., None]) -> Callable[..., None]:
    alone = shutil.which("unshare") is not None and os.geteuid() == 0
    test = pytest.mark.skipif(not alone, reason="needs namespaces of its own")(test)
    return pytest.mark.skipif(shutil.which("ip") is None, reason="needs the command ip to bring up loopback")(test)


@needs_namespaces
def test_a_cluster_that_is_there_is_joined_and_left_running(
    driver: Callable[..., subprocess.Popen[str]], tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    jobs = [["die_once", 0, {}], ["nothing", 1, {}], ["raise", 2, {}]]
    wish = {"jobs": jobs, "address": "127.0.0.1:6400"}
    before = (*NAMESPACE, "--net", "--mount", "sh", "-c", CLUSTER, str(temporary))
    result = result_of(driver(tmp_path / "store", wish, *before))
    assert len(result["succeeded"]) == 2
    assert list(result["failed"].values()) == ["ValueError: this run is"]
    assert result["environment_kept"]
    without_token = (*before, "env", "--unset=RAY_AUTH_MODE", "--unset=RAY_AUTH_TOKEN_PATH")
    turned_away = driver(tmp_path / "store", wish | {"jobs": [["nothing", 9, {}]]}, *without_token)
    _, err = turned_away.communicate(timeout=60)
    assert turned_away.returncode != 0
    assert "The Ray cluster at --address 127.0.0.1:6400 asks for a token: set RAY_AUTH_MODE=token" in err


CLUSTER_WISH = {
    "jobs": [["sleep", seed, {"seconds": 1.5}] for seed in range(10)],
    "address": "127.0.0.1:6400",
    "patience": 2.0,
}
ON_A_CLUSTER = (*NAMESPACE, "--net", "--mount", "sh", "-c", CLUSTER)


def lose_head(
    driver: Callable[..., subprocess.Popen[str]], store: Path, folder: Path, dying: Sequence[str]
) -> tuple[str, dict[str, int]]:
    """What a launch of ten runs says whose cluster's processes die, and when it wrote the records that it has."""
    assert dispatch.HEAD_SECONDS + dispatch.NODES_SECONDS < 30
    launch = driver(store, CLUSTER_WISH, *ON_A_CLUSTER, str(folder))
    until_some_are_done(store, 2, launch)
    for process in psutil.Process(launch.pid).children(recursive=True):
        if process.name() in dying:
            process.kill()
    _, err = launch.communicate(timeout=60)
    assert launch.returncode != 0
    [account] = [json.loads(path.read_text()) for path in (store / "launches").glob("*.json")]
    assert account["status"] == "interrupted"
    done = {path.name: path.stat().st_mtime_ns for path in (store / "records").glob("*.json")}
    assert 2 <= len(done) < 10
    return err, done


@needs_namespaces
def test_a_launch_whose_head_and_node_die_says_so_and_keeps_its_records(
    driver: Callable[..., subprocess.Popen[str]], tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    said, _ = lose_head(driver, tmp_path / "store", temporary, ["gcs_server", "raylet"])
    assert NO_HEAD in said or MESSAGE_IF_KILLED in said


@needs_namespaces
def test_a_launch_whose_head_dies_says_so_and_the_same_command_on_a_new_one_does_the_rest(
    driver: Callable[..., subprocess.Popen[str]], tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    store, first, second = tmp_path / "store", temporary / "1", temporary / "2"
    first.mkdir()
    second.mkdir()
    said, done = lose_head(driver, store, first, ["gcs_server"])
    assert NO_HEAD in said
    result = result_of(driver(store, CLUSTER_WISH, *ON_A_CLUSTER, str(second)))
    assert len(result["succeeded"]) == result["todo"] == 10 - len(done)
    assert list(Store(store).statuses().values()) == ["succeeded"] * 10
    assert done.items() <= {path.name: path.stat().st_mtime_ns for path in (store / "records").glob("*.json")}.items()
