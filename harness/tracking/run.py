"""The worker's part of the mirror: sends one run in a background thread."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from harness.records.record import Description, Record
from harness.spec import Job
from harness.tracking import content
from harness.tracking.batches import MOST_TOGETHER
from harness.tracking.connection import connect, is_local_file, load, outages, reason
from harness.tracking.launch import TrackerHandle
from harness.tracking.machine import Machine
from harness.tracking.writing import close_run, open_run, send
from harness.utils.redaction import redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient

PERIOD_SECONDS = 3.0
LOAD_SECONDS = 60.0
FINISH_SECONDS = 10.0
CAPACITY = 20_000
ATTEMPTS = 3

_log = logging.getLogger(__name__)


class RunTracker:
    """Mirrors one run.

    No method raises or waits for MLflow, except that :meth:`finish` waits up to :data:`FINISH_SECONDS`, and in the
    first run of a process until MLflow is imported. Up to 1000 metrics are sent every :data:`PERIOD_SECONDS`; the
    others wait in a queue of :data:`CAPACITY` metrics, which drops the oldest ones. The record has all that is missing
    in MLflow, and :func:`harness.tracking.sync.sync` completes it.

    Args:
        handle: The handle of the launch.
        job: The run.
        description: Facts about the run for tags.

    Attributes:
        dropped: Number of metrics that were dropped.
        lost: Why the run is not mirrored, or None.
    """

    def __init__(self, handle: TrackerHandle, job: Job, description: Description) -> None:
        self._handle, self._job, self._description = handle, job, description
        self._started = _now()
        self._queue: deque[tuple[str, Any, int, int]] = deque(maxlen=CAPACITY)
        self.dropped = 0
        self._last: tuple[Record, Mapping[str, str]] | None = None
        self._loaded, self._ended, self._abandoned = threading.Event(), threading.Event(), threading.Event()
        self.lost = _obstacle(handle)
        self._thread = threading.Thread(target=self._mirror, name=f"mlflow-{job.spec.digest}", daemon=True)
        if not self.lost:
            self._thread.start()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Queues metrics at a step."""
        if self.lost:
            return
        now = _now()
        for name, value in values.items():
            self.dropped += len(self._queue) == CAPACITY
            self._queue.append((name, value, now, step))

    def finish(self, record: Record, artifacts: Mapping[str, str]) -> None:
        """Sends the rest and ends the run.

        Args:
            record: The record of the run.
            artifacts: Texts by file name, in addition to spec, record and report.
        """
        if self._thread.ident is None:
            return
        self._last = record, dict(artifacts)
        self._ended.set()
        self._loaded.wait(LOAD_SECONDS)
        self._thread.join(FINISH_SECONDS)
        if self._thread.is_alive():
            self._abandoned.set()
            outages.report(self._handle.uri)
            self._lose(f"no answer within {FINISH_SECONDS:g} s")

    def abandon(self) -> None:
        """Stops mirroring a run without a record; the launch ends the MLflow run."""
        self._abandoned.set()
        self._ended.set()

    def _lose(self, why: str) -> None:
        self.lost = why
        self._queue.clear()
        digest, uri = self._job.spec.digest, redacted(self._handle.uri)
        _log.warning("run %s is not whole in MLflow at %s (%s): 'symbench sync' completes it", digest, uri, why)

    def _mirror(self) -> None:
        try:
            self._follow()
        except _Abandoned:
            return
        except Exception as error:  # MLflow and what is below it raise many kinds, and none may reach the run
            if not self._abandoned.is_set():
                self._lose(reason(error))

    def _follow(self) -> None:
        load()
        machine, samples = Machine(), count()
        self._loaded.set()
        client = connect(self._handle.uri)
        run_id, params, batch, failures = "", content.params(self._job.spec), list[content.Point](), 0
        while not self._ended.is_set():
            try:
                run_id = run_id or self._open(client)
                if values := machine.sample():
                    self.log(next(samples), values)
                batch = batch or self._take(MOST_TOGETHER)
                if batch or params:
                    send(client, run_id, batch, params)
                params, batch, failures = {}, [], 0
            except Exception as error:  # a server may be restarting: try again
                failures += 1
                _log.info("MLflow did not take the metrics of run %s: %s", self._job.spec.digest, reason(error))
                if failures == ATTEMPTS:
                    raise
            self._ended.wait(PERIOD_SECONDS)
        self._proceed()
        self._close(client, run_id or self._open(client), batch, params)

    def _open(self, client: MlflowClient) -> str:
        handle = self._handle
        return open_run(client, handle.experiment_id, self._job, self._description, handle.home, self._started)

    def _close(self, client: MlflowClient, run_id: str, batch: list[content.Point], params: Mapping[str, str]) -> None:
        assert self._last is not None
        record, artifacts = self._last
        points = [*batch, *self._take(CAPACITY)]
        whole = not self.dropped
        close_run(client, run_id, record, points, params, artifacts, whole=whole, proceed=self._proceed)
        if not whole:
            self._lose(f"{self.dropped} metrics came too fast")

    def _take(self, count: int) -> list[content.Point]:
        return [content.point(*self._queue.popleft()) for _ in range(min(count, len(self._queue)))]

    def _proceed(self) -> None:
        if self._abandoned.is_set():
            raise _Abandoned


class _Abandoned(Exception):
    """The run no longer waits for its mirror."""


def _obstacle(handle: TrackerHandle) -> str | None:
    if handle.lost:
        return handle.lost
    if outages.lasts(handle.uri):
        return "MLflow did not answer a short while ago"
    driver = handle.store.partition(":")[0]
    if is_local_file(handle.uri) and driver != socket.gethostname():
        return f"its database is a file on {driver}"
    return None


def _now() -> int:
    return time.time_ns() // 1_000_000
