"""What travels to a cluster, and what is said where a cluster, a token or a job is not there (no Ray is started)."""

from __future__ import annotations

import json
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.errors import SymbenchError
from harness.execution import jobs
from harness.execution.submission import Submission, runtime_environment, travelling
from harness.records.provenance import ORIGIN, git_state

SUITE = "protocol: quick\nexperiments:\n  - {tasks: [nbody], methods: [egnn]}\n"


@pytest.fixture(autouse=True)
def no_cluster_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "SYMBENCH_STORE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "my suite.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def server() -> Iterator[Callable[[int, str], str]]:
    """Starts a server that answers everything with one status and body; gives its address."""
    started: list[ThreadingHTTPServer] = []

    def start(status: int, body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *words: object) -> None:
                return None

        started.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=started[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_address[1]}"

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


def test_code_and_suite_travel_and_nothing_else(suite: Path) -> None:
    root = Path(jobs.__file__).parents[2]
    with travelling(Submission(suite=str(suite), store="/shared")) as folder:
        sent = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        assert (folder / "submitted" / suite.name).read_text() == SUITE
        assert json.loads((folder / ORIGIN).read_text()) == dict(
            zip(("commit", "dirty"), git_state(root / "harness"), strict=True)
        )
        assert git_state(folder / "harness") == git_state(root / "harness")
    assert not folder.exists()
    ours = {
        path.relative_to(root)
        for part in ("harness", "baselines", "tasks")
        for path in (root / part).rglob("*.py")
        if not path.name.startswith(".")
    }
    assert ours <= sent
    assert {path.parts[0] for path in sent} == {
        "harness", "baselines", "tasks", "ray_configs", "pyproject.toml", "constraints.txt", "submitted", ORIGIN,
    }  # fmt: skip
    assert not any("__pycache__" in path.parts for path in sent)


def test_the_command_says_on_the_cluster_what_was_said_here(suite: Path) -> None:
    made = Submission(
        suite=str(suite), store="s3://bucket/a store", overrides=["seeds=[0, 1]"], only=["task=nbody"], slots=3
    )
    shell, *words = shlex.split(made.entrypoint)
    assert shell == "exec"
    assert words == [
        "python", "-m", "harness.cli", "run", "submitted/my suite.yaml", "--address", "auto",
        "--store", "s3://bucket/a store", "--set", "seeds=[0, 1]", "--only", "task=nbody", "--slots", "3",
    ]  # fmt: skip
    assert "submitted/quick.yaml" in Submission(suite="quick", store="/shared").entrypoint


@pytest.mark.parametrize("store", ["results/store", "", "~/store"])
def test_a_store_that_nodes_cannot_find_is_refused(store: str, suite: Path) -> None:
    with pytest.raises(SymbenchError, match="name a folder that every node of the cluster sees by its whole path"):
        Submission(suite=str(suite), store=store)


def test_the_runtime_environment_is_rays_own(tmp_path: Path) -> None:
    path = tmp_path / "env.yaml"
    path.write_text("pip: [egg]\nenv_vars: {SYMBENCH_DATA: /data}\n")
    found = runtime_environment(path)
    assert found["pip"] == ["egg"]
    assert found["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "30", "SYMBENCH_DATA": "/data"}
    for text, sentence in {
        "- a": "write a mapping",
        "working_dir: .": "no working_dir",
        "env_vars: {A: 1}": "put numbers in quotes",
        "a: [": "is no YAML",
    }.items():
        path.write_text(text)
        with pytest.raises(SymbenchError, match=sentence):
            runtime_environment(path)
    with pytest.raises(SymbenchError, match="cannot be read: No such file"):
        runtime_environment(tmp_path / "missing.yaml")


def test_nothing_and_nobody_at_the_address() -> None:
    began = time.monotonic()
    with pytest.raises(SymbenchError, match=r"No Ray dashboard answers at --address http://127\.0\.0\.1:1: start"):
        jobs.JobServer("http://127.0.0.1:1")
    assert time.monotonic() - began < 10
    with pytest.raises(SymbenchError, match="Which cluster"):
        jobs.JobServer(None)
    with pytest.raises(SymbenchError, match=r"jobs go to the head's dashboard"):
        jobs.JobServer("10.0.0.1:6379")


def test_silence_at_the_address_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jobs.ANSWER_SECONDS < 30
    monkeypatch.setattr(jobs, "ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        with pytest.raises(SymbenchError, match="No Ray dashboard answers"):
            jobs.JobServer(f"http://127.0.0.1:{mute.getsockname()[1]}")
        assert time.monotonic() - began < 5


def test_another_server_at_the_address(server: Callable[[int, str], str]) -> None:
    for status, body in ((404, ""), (500, ""), (200, "<html>"), (200, "{}")):
        address = server(status, body)
        with pytest.raises(SymbenchError, match=f"dashboard .*--address {address}"):
            jobs.JobServer(address)


@pytest.mark.parametrize("status", [401, 403])
def test_no_token_and_a_wrong_one(status: int, server: Callable[[int, str], str]) -> None:
    with pytest.raises(SymbenchError, match="asks for its token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"):
        jobs.JobServer(server(status, "Unauthorized"))


def test_the_option_counts_for_more_than_the_environment(
    server: Callable[[int, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server(200, '{"ray_version": "2.60.0", "version": "4"}')
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    assert jobs.JobServer(f"{address}/").address == address
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", address)
    assert jobs.JobServer(None).address == address


def test_jobs_without_rays_default_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(SymbenchError, match=r"pip install 'ray\[default\]'"):
        jobs.JobServer("http://127.0.0.1:8265")


def test_a_suite_that_does_not_load_never_leaves(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SUITE.replace("egnn", "egnnn"))
    words = ["submit", str(path), "--address", "http://127.0.0.1:1", "--store", "/shared"]
    result = CliRunner().invoke(cli.app, words)
    assert isinstance(result.exception, SymbenchError)
    assert "egnnn" in str(result.exception) and "line 3" in str(result.exception)
