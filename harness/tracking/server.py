"""MLflow's web pages for a store, served on this machine only and until interrupted."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

import psutil

from harness.errors import TrackingError, UnknownName
from harness.records.store import Store
from harness.tracking import content
from harness.tracking.artifacts import artifact_root, follow_move
from harness.tracking.connection import SETTINGS, connect, is_server, reason
from harness.tracking.views import LOADED, View, chosen, publish
from harness.utils.interrupts import uninterrupted
from harness.utils.redaction import redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

HOST = "127.0.0.1"
PORT = 5000
START_SECONDS = 120.0
STOP_SECONDS = 10.0
COMPARED = 100
"""The largest number of runs on the comparison page: with more it shows no more than the chart page."""

_to_terminal = partial(print, flush=True)


def serve(
    store: Store,
    port: int,
    announce: Callable[[str], None] = _to_terminal,
    *,
    task: str | None = None,
    suite: str | None = None,
) -> None:
    """Serves the MLflow pages of a store until interrupted.

    If ``MLFLOW_TRACKING_URI`` names a server, only announces its addresses.

    Args:
        store: The store.
        port: The port; 0 takes any free one.
        announce: Called with the texts for the user.
        task: Announces only the pages of this task.
        suite: Announces only the pages of this suite.

    Raises:
        UnknownName: MLflow has no runs of this task and suite.
        TrackingError: The port is in use, or MLflow cannot be used.
    """
    uri = store.mlflow_uri
    if is_server(uri):
        announce(pages(uri, uri, task, suite))
        return
    try:
        announce("MLflow starts ...")
        with running(uri, store.root, port) as (url, process):
            announce(f"{pages(url, uri, task, suite)}\nCtrl-C ends it.")
            while process.poll() is None:  # with Polars' handler for Ctrl-C a waitpid would not return
                time.sleep(0.2)
    except KeyboardInterrupt:
        return
    raise TrackingError(f"MLflow's server ended by itself (exit code {process.returncode}): start it again.")


def pages(url: str, uri: str, task: str | None = None, suite: str | None = None) -> str:
    """Writes the views of all tasks to MLflow, and returns the addresses of its pages, one on each line.

    Args:
        url: The address of the pages.
        uri: The tracking URI.
        task: Only the views of this task.
        suite: Only the views of this suite.

    Raises:
        UnknownName: MLflow has no runs of this task and suite.
        TrackingError: MLflow cannot be used.
    """
    with _usable(uri):
        client = connect(uri)
        found = [view for experiment in _experiments(client) for view in publish(client, experiment)]
    shown = sorted(chosen(found, task, suite), key=lambda view: (view.task, view.suite))
    if not shown and (task or suite):
        wanted = " and ".join(f"{kind} {name}" for kind, name in (("task", task), ("suite", suite)) if name)
        known = sorted({f"{view.task} ({view.suite})" for view in found}) or ["no runs at all"]
        raise UnknownName(f"MLflow has no runs of {wanted}: it has {', '.join(known)}.")
    lines = [f"MLflow: {redacted(url)}", *(_line(view, url) for view in shown)]
    if not found:
        lines.append("There are no runs in MLflow: 'symbench sync' logs those of the store.")
    if any(view.runs > LOADED for view in shown):
        lines.append(
            f"A page loads {LOADED} runs at a time, best first: 'Load more' below its list adds the next ones."
        )
    return "\n".join(lines)


def _line(view: View, url: str) -> str:
    runs = f"{view.runs:,} run{'' if view.runs == 1 else 's'}"
    return f"{view.task}, suite {view.suite}, {runs} by {view.metric}: {redacted(view.address(url))}"


def compare_url_of(digests: Sequence[str], url: str, uri: str) -> tuple[str, int] | None:
    """The address of the page that compares the newest finished run of each digest, up to :data:`COMPARED`.

    Returns:
        The address and the number of its runs, or None if none of the runs was logged.

    Raises:
        TrackingError: MLflow cannot be used.
    """
    runs: list[Run] = []
    with _usable(uri):
        client = connect(uri)
        suites = [experiment.experiment_id for experiment in _experiments(client)]
        for digest in list(dict.fromkeys(digests))[
            :COMPARED
        ]:  # MLflow cannot search for one of several values of a tag
            condition = f"attributes.status = 'FINISHED' and tags.`{content.DIGEST}` = '{digest}'"
            runs += client.search_runs(
                suites or ["0"], condition, max_results=1, order_by=["attributes.start_time DESC"]
            )
    ids = {
        "runs": [run.info.run_id for run in runs],
        "experiments": list(dict.fromkeys(run.info.experiment_id for run in runs)),
    }
    wanted = [f"{name}={quote(json.dumps(values))}" for name, values in ids.items()]
    return (f"{url.rstrip('/')}/#/compare-runs?{'&'.join(wanted)}", len(runs)) if runs else None


def _experiments(client: MlflowClient) -> list[Experiment]:
    """The experiments of all suites."""
    return [item for item in client.search_experiments() if item.name.startswith(content.experiment_name(""))]


@contextmanager
def _usable(uri: str) -> Iterator[None]:
    """Raises :class:`TrackingError` in place of the many kinds of errors of MLflow and what is below it."""
    try:
        yield
    except Exception as error:
        raise TrackingError(
            f"MLflow at {redacted(uri)} cannot be used ({reason(error)}): check MLFLOW_TRACKING_URI."
        ) from error


@contextmanager
def running(uri: str, store_root: Path, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Starts a server and yields its address and process. All its processes have ended when the block ends."""
    port = _free(port)
    try:
        follow_move(uri)
    except sqlite3.Error as error:
        raise TrackingError(
            f"MLflow's database {redacted(uri)} cannot be used ({error}): move it away, then run 'symbench sync'."
        ) from error
    command = [sys.executable, "-m", "mlflow", "server", "--no-serve-artifacts", "--workers", "1"]
    command += ["--host", HOST, "--port", str(port), "--default-artifact-root", artifact_root(uri, store_root)]
    environment = {**SETTINGS, **os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment["MLFLOW_BACKEND_STORE_URI"] = uri  # no argument, since all users can read the arguments of a process
    environment.pop("MLFLOW_TRACKING_URI", None)
    with ExitStack() as stack:
        log = stack.enter_context(TemporaryFile())
        process = subprocess.Popen(
            command,
            cwd=store_root,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack.callback(_end, process)
        url = f"http://{HOST}:{port}"
        _await(f"{url}/health", process, log)
        yield url, process


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise TrackingError(
                f"Port {port} cannot be used ({error.strerror}): choose another --port, or 0 for any free one."
            ) from error
        return probe.getsockname()[1]


def _await(url: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with opener.open(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["no output"]
    message = redacted(lines[-1].strip())
    raise TrackingError(f"MLflow's server did not start ({message}): look at it with 'symbench doctor'.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole process group: the server's workers are its children."""
    with uninterrupted():
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, ending)
            until = time.monotonic() + STOP_SECONDS
            while process.poll() is None or _lives(process.pid):
                if time.monotonic() > until:
                    break
                time.sleep(0.05)
            else:
                return


def _lives(group: int) -> bool:
    """Returns True if a process of the group is running; zombies do not count."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
