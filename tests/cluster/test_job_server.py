"""Addresses of clusters, their jobs, and errors where a dashboard, a token or a job is missing (no Ray is started)."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.errors import SymbenchError
from harness.execution import jobs
from harness.execution.address import check_address

pytestmark = pytest.mark.usefixtures("no_cluster_is_known")


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
    with pytest.raises(SymbenchError, match=r"pip install 'symbench\[cluster\]'"):
        jobs.JobServer("http://127.0.0.1:8265")


# What a job says of itself

BROKEN = """runtime_env setup failed: The environment of the job could not be made.
[10.0.0.1] Traceback (most recent call last):
  File "agent.py", line 561, in create
    await make()
          ^^^^^^
KeyError: 'pip'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "agent.py", line 7, in make
OSError: Could not find the package xyz
  and this is where it was looked for
"""
CRASHED = "Job entrypoint command failed with exit code 3, last available logs (truncated to 20,000 chars):\nthe log"


def details(message: str | None, status: str = "FAILED", exit_code: int | None = None) -> Any:
    return SimpleNamespace(
        submission_id="raysubmit_1",
        job_id=None,
        status=status,
        metadata={},
        start_time=1,
        end_time=2,
        message=message,
        driver_exit_code=exit_code,
    )


class Client:
    """Ray's client of a job that ends so. Its log is a text, or what asking for it raises."""

    def __init__(self, ended: Any, log: str | Exception) -> None:
        self._ended, self._log = ended, log

    def get_job_info(self, job_id: str) -> Any:
        return self._ended

    def get_job_logs(self, job_id: str) -> str:
        if isinstance(self._log, Exception):
            raise self._log
        return self._log

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        yield self.get_job_logs(job_id)


def logs_of(client: Client, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setattr(jobs.JobServer, "_connected", lambda self: client)
    return CliRunner().invoke(cli.app, ["jobs", "--address", "http://head:8265", "logs", "raysubmit_1", *words])


NO_LOG = (RuntimeError("Request failed with status code 500: No log"), "")


@pytest.mark.parametrize("words", [(), ("--follow",)])
@pytest.mark.parametrize("log", NO_LOG)
def test_a_job_that_never_began_says_why(
    words: tuple[str, ...], log: str | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = logs_of(Client(details(BROKEN), log), monkeypatch, *words)
    said = result.stderr.partition("runtime_env")[2].splitlines()
    assert said == [
        " setup failed: The environment of the job could not be made.",
        "KeyError: 'pip'",
        "OSError: Could not find the package xyz",
        "  and this is where it was looked for",
    ]
    assert result.exit_code == (1 if words else 0)


@pytest.mark.parametrize("words", [(), ("--follow",)])
def test_a_job_whose_suite_has_failed_says_so_in_a_line_after_its_log(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = logs_of(Client(details(CRASHED, exit_code=3), "the log\n"), monkeypatch, *words)
    assert result.stdout.startswith("the log\n")
    assert "failed with exit code 3" in result.stderr and "the log" not in result.stderr
    assert result.exit_code == (3 if words else 0)


@pytest.mark.parametrize("words", [(), ("--follow",)])
def test_a_log_that_cannot_be_had_of_a_job_that_goes_on_is_an_error(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = logs_of(Client(details(None, "RUNNING"), NO_LOG[0]), monkeypatch, *words)
    assert isinstance(result.exception, SymbenchError) and "says: Request failed" in str(result.exception)


def test_a_job_that_went_well_is_told_by_its_log_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    result = logs_of(Client(details("Job finished successfully.", "SUCCEEDED", 0), "the log\n"), monkeypatch)
    assert (result.stdout, result.stderr, result.exit_code) == ("the log\n", "", 0)


# Addresses


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:6379", "[::1]:6379", "ray://head.example:10001"])
def test_addresses_of_clusters(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "head",
        "head:",
        "head:x",
        "head:0",
        "head:65536",
        ":6379",
        "local",
        "ray://head",
        "tcp://head:1",
        "a b:1",
        "ray://ray://head:1",
        "user@head:1",
        "head:1/x",
        "::1:6379",
        "s3://bucket/store",
        "head:1234567",
    ],
)
def test_what_is_no_address_of_a_cluster(address: str) -> None:
    with pytest.raises(SymbenchError, match=r"is no Ray cluster: give the head's HOST:PORT, ray://HOST:PORT, or auto"):
        check_address(address)


@pytest.mark.parametrize("command", [("run", "quick"), ("search", "nbody_egnn")])
def test_a_dashboard_is_no_cluster_to_join(command: tuple[str, str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    result = CliRunner().invoke(cli.app, [*command, "--store", str(store), "--address", "http://127.0.0.1:8265"])
    assert isinstance(result.exception, SymbenchError)
    assert "is a dashboard, which takes jobs: send a suite with 'symbench submit'" in str(result.exception)
    assert not store.exists()


# Jobs in general


class Cluster:
    """Ray's client of a cluster that remembers some jobs, and what was submitted to it."""

    def __init__(self, jobs: list[Any]) -> None:
        self._jobs = jobs
        self.submitted: dict[str, Any] = {}

    def list_jobs(self) -> list[Any]:
        return self._jobs

    def submit_job(self, **submitted: Any) -> str:
        self.submitted = submitted
        return "raysubmit_9"


def of_moment(name: str | None, milliseconds: int | None, status: str = "RUNNING") -> Any:
    return SimpleNamespace(
        submission_id=name,
        job_id="02",
        status=status,
        metadata={"symbench.suite": f"suite {name}"},
        start_time=milliseconds,
        end_time=milliseconds + 90_500 if milliseconds and status != "RUNNING" else None,
        message=None,
        driver_exit_code=None,
    )


def test_jobs_are_listed_oldest_first_and_none_that_was_not_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    noon = 1_772_366_400_000  # 2026-03-01 12:00 UTC
    known = [
        of_moment("late", noon + 60_000, "FAILED"),
        of_moment(None, noon),
        of_moment("waiting", None, "PENDING"),
        of_moment("early", noon, "STOPPED"),
        of_moment("good", noon + 30_000, "SUCCEEDED"),
    ]
    monkeypatch.setattr(jobs.JobServer, "_connected", lambda self: Cluster(known))
    found = jobs.JobServer("http://head:8265/").jobs()
    assert [job.id for job in found] == ["early", "good", "late", "waiting"]
    assert [job.ended for job in found] == [True, True, True, False]
    assert [job.suite for job in found] == ["suite early", "suite good", "suite late", "suite waiting"]
    assert found[0].started == datetime(2026, 3, 1, 12, tzinfo=UTC) and found[0].seconds == 90.5
    assert found[3].started is None and found[3].seconds is None
    said = CliRunner().invoke(cli.app, ["jobs", "--address", "http://head:8265"]).output.splitlines()
    assert said[1].split()[:3] == ["early", "STOPPED", "suite"] and "2026-03-01 12:00:00 UTC" in said[1]


def test_a_job_carries_its_suite_and_store_and_has_time_to_travel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster, given = Cluster([]), []
    monkeypatch.setattr(jobs.JobServer, "_connected", lambda self: cluster)
    monkeypatch.setattr(jobs, "within", lambda seconds, question: (given.append(seconds), question())[1])
    server = jobs.JobServer("http://head:8265")
    assert server.submit(tmp_path, "exec it", {"pip": ["egg"]}, "my suite", "/my/store") == "raysubmit_9"
    assert cluster.submitted == {
        "entrypoint": "exec it",
        "runtime_env": {"pip": ["egg"], "working_dir": str(tmp_path)},
        "metadata": {"symbench.suite": "my suite", "symbench.store": "/my/store"},
    }
    server.jobs()
    assert given == [jobs.UPLOAD_SECONDS, jobs.ANSWER_SECONDS] and given[0] > 10 * given[1]
    ours = SimpleNamespace(**{**vars(of_moment("x", 1)), "metadata": cluster.submitted["metadata"]})
    state = jobs._state(ours)
    assert (state.suite, state.store) == ("my suite", "/my/store")
