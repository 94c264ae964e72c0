"""The launch file in the store, written again every few seconds while the launch runs."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from harness.errors import SymbenchError
from harness.execution.progress import Progress
from harness.records.record import Status
from harness.spec import Job
from harness.suites.labels import label

PERIOD_SECONDS = 5.0
JOIN_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Heartbeat:
    """A :class:`Progress` that also writes the state of the launch every :data:`PERIOD_SECONDS`.

    Two threads call ``write`` and ``usage``, so that a launch whose cluster is slow to answer does not look lost.
    Nothing is written after the ``with`` block.

    Args:
        progress: Receives all calls as well.
        write: Writes the state.
        usage: Returns which resources of the cluster are in use.
    """

    def __init__(
        self,
        progress: Progress,
        write: Callable[[Mapping[str, Any]], None],
        usage: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._progress, self._write, self._usage = progress, write, usage
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._running: dict[str, dict[str, Any]] = {}
        self._succeeded = self._failed = 0
        self._began: float | None = None
        self._in_use: Mapping[str, Any] = {}
        self._threads = [
            threading.Thread(target=work, name="heartbeat", daemon=True)
            for work in (self._poll_usage, self._write_periodically)
        ]

    def __enter__(self) -> Heartbeat:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopped.set()
        until = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def begin(self, todo: int, done: int) -> None:
        self._progress.begin(todo, done)

    def started(self, job: Job) -> None:
        with self._lock:
            self._began = self._began or time.time()
            self._running[job.spec.digest] = {"run": label(job), "since": _moment(time.time())}
        self._progress.started(job)

    def finished(self, job: Job, status: Status, sentence: str | None) -> None:
        with self._lock:
            self._running.pop(job.spec.digest, None)
            if status == "succeeded":
                self._succeeded += 1
            else:
                self._failed += 1
        self._progress.finished(job, status, sentence)

    def note(self, text: str) -> None:
        self._progress.note(text)

    def end(self) -> None:
        self._progress.end()

    def _poll_usage(self) -> None:
        while not self._stopped.is_set():
            try:
                self._in_use = self._usage()
            except Exception:  # the launch itself notices a cluster that does not answer
                self._in_use = {}
                _log.debug("the cluster does not answer what is in use", exc_info=True)
            self._stopped.wait(PERIOD_SECONDS)

    def _write_periodically(self) -> None:
        while not self._stopped.wait(PERIOD_SECONDS):
            with self._lock, suppress(SymbenchError):  # the runs report a full disk
                if not self._stopped.is_set():
                    self._write(self._state() | {"usage": self._in_use})

    def _state(self) -> dict[str, Any]:
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "updated": _moment(time.time()),
            "began": _moment(self._began) if self._began else None,
            "succeeded": self._succeeded,
            "failed": self._failed,
            "running": self._running,
        }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
