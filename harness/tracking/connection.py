"""How this process reaches MLflow: quietly, and never for longer than it was given."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.records.provenance import redacted
from harness.tracking.content import experiment_name

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
"""For this process and its children, where the user has not set them. MLflow's own are 7 retries of 120 s each."""

OUTAGE_SECONDS = 300.0
_REASON_CHARACTERS = 200

T = TypeVar("T")


def load() -> None:
    """Imports MLflow, quietly. The first call in a process takes some seconds."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    import mlflow.tracking  # noqa: F401


def connect(uri: str) -> MlflowClient:
    """A client of that server or database."""
    load()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def experiment(client: MlflowClient, uri: str, suite: str, store_root: Path) -> str:
    """The id of the suite's experiment, which is made where there is none.

    A server says itself where artifacts go; beside a bare database they go into the store.
    """
    from mlflow.exceptions import MlflowException

    name, location = experiment_name(suite), None if is_server(uri) else (store_root / "mlartifacts").as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def is_server(uri: str) -> bool:
    """Whether the address is of an MLflow server rather than of a database."""
    return uri.partition(":")[0] in ("http", "https")


def is_local_file(uri: str) -> bool:
    """Whether only this machine can use the address."""
    return uri.partition(":")[0].partition("+")[0] == "sqlite"


def origin(store_root: Path) -> str:
    """Names a store among all that share an MLflow."""
    return f"{socket.gethostname()}:{store_root.absolute()}"


def within(seconds: float, action: Callable[[], T]) -> T:
    """What the action returns or raises, or ``TimeoutError`` after that time: its thread is then left behind."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # handed to the caller
            future.set_exception(error)

    threading.Thread(target=work, name="mlflow", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError as error:
        raise error if future.done() else TimeoutError(f"no answer within {seconds:g} s") from error


def reason(error: BaseException) -> str:
    """One short line without credentials: what the operating system said, where it is at the bottom of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return redacted(lines[0])[:_REASON_CHARACTERS]


class Outages:
    """Which MLflows have kept this process waiting in vain. A run that ends soon after leaves them alone."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def report(self, uri: str) -> None:
        self._until[uri] = time.monotonic() + OUTAGE_SECONDS

    def lasts(self, uri: str) -> bool:
        return time.monotonic() < self._until.get(uri, 0.0)


outages = Outages()
"""Of this process: each run that waits for a dead server would add its whole wait to the launch."""
