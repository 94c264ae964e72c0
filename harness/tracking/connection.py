"""Connections to MLflow: without its log messages, and with time limits."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from harness.records.mlflow_uri import sqlite_file
from harness.tracking.artifacts import artifact_root, follow_move
from harness.tracking.content import experiment_name, experiment_tags
from harness.utils.redaction import redacted
from harness.utils.text import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

SETTINGS = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""Environment variables for this process and its children, unless the user has set them.

By default MLflow waits for 7 retries of 120 s each.
"""

OUTAGE_SECONDS = 300.0
KNOCK_SECONDS = 5.0
LOCKED_SECONDS = 20.0
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_REASON_CHARACTERS = 200

T = TypeVar("T")


def load() -> None:
    """Imports MLflow without its log messages. The first call in a process takes some seconds."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)
    import mlflow.tracking  # noqa: F401


def connect(uri: str) -> MlflowClient:
    """Connects to a server or a database.

    Raises an error at once if a database cannot be opened; MLflow itself would retry for two minutes.
    """
    load()
    from mlflow import MlflowClient

    _knock(uri)
    return MlflowClient(uri)


def _knock(uri: str) -> None:
    if (file := sqlite_file(uri)) is not None:
        if file.exists():
            with closing(sqlite3.connect(file, timeout=LOCKED_SECONDS)) as database:
                database.execute("PRAGMA schema_version")
        return
    parts = urlsplit(uri)
    port = None if is_server(uri) else parts.port or PORTS.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname and "," not in parts.netloc:  # otherwise only the driver knows the host
        socket.create_connection((parts.hostname, port), timeout=KNOCK_SECONDS).close()


def experiment(client: MlflowClient, uri: str, suite: str, store_root: Path) -> str:
    """Returns the id of a suite's experiment, which is created if it does not exist.

    An experiment of an earlier version gets the tags that it lacks. What a user wrote in them is kept.

    Args:
        client: A client of MLflow.
        uri: The tracking URI. A server determines the location of artifacts itself.
        suite: The name of the suite.
        store_root: The folder of the store, for the artifacts of a database.
    """
    from mlflow.exceptions import MlflowException

    follow_move(uri)
    name, location = experiment_name(suite), None if is_server(uri) else artifact_root(uri, store_root)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=location, tags=experiment_tags(suite))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    for key, text in experiment_tags(suite).items():
        if key not in found.tags:
            client.set_experiment_tag(found.experiment_id, key, text)
    return found.experiment_id


def is_server(uri: str) -> bool:
    """Returns True if the URI is that of an MLflow server, not of a database."""
    return uri.partition(":")[0] in ("http", "https")


def is_local_file(uri: str) -> bool:
    """Returns True if only this machine can use the URI."""
    return uri.partition(":")[0].partition("+")[0] == "sqlite"


def within(seconds: float, action: Callable[[], T]) -> T:
    """Calls ``action`` with a time limit in seconds, and returns or raises what it does.

    Raises:
        TimeoutError: The time is over. The thread of the action is abandoned.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # raised in the caller
            future.set_exception(error)

    threading.Thread(target=work, name="mlflow", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError as error:
        raise error if future.done() else TimeoutError(f"no answer within {seconds:g} s") from error


def reason(error: BaseException) -> str:
    """One short line on an error, without credentials: the operating system's message if that is the cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return redacted(first_line(error))[:_REASON_CHARACTERS]


class Outages:
    """The tracking URIs that did not answer recently. Runs that end soon after do not wait for them."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def report(self, uri: str) -> None:
        """Notes that a URI did not answer."""
        self._until[uri] = time.monotonic() + OUTAGE_SECONDS

    def lasts(self, uri: str) -> bool:
        """Returns True if a URI failed to answer within the last :data:`OUTAGE_SECONDS`."""
        return time.monotonic() < self._until.get(uri, 0.0)


outages = Outages()
"""The outages of this process: otherwise every run would wait for a dead server."""
