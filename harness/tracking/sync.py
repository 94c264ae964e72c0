"""Completes MLflow from the records of a store."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.errors import SymbenchError
from harness.records.layout import launch_states
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import content
from harness.tracking.connection import connect, experiment, is_server, reason
from harness.tracking.content import Home
from harness.tracking.identity import is_of, origin, store_id
from harness.tracking.views import publish
from harness.tracking.writing import PAGE, close_run, end_unfinished, open_run
from harness.utils.redaction import redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVER_THREADS = 4
"""Threads for a server, where most of the time is waiting. A database gets one, where the work is Python's."""

FAILURES = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncResult:
    """The outcome of a synchronisation.

    Attributes:
        logged: Number of records that were logged.
        replaced: Number of outdated runs of this store that were deleted from MLflow.
        skipped: Number of records that MLflow had already.
        failed: Number of records that could not be logged.
        reason: Why the first of them could not be logged, or None.
        unusable: True if MLflow could not be used at all.
    """

    logged: int = 0
    replaced: int = 0
    skipped: int = 0
    failed: int = 0
    reason: str | None = None
    unusable: bool = False

    def __str__(self) -> str:
        counts = (
            f"MLflow: {self.logged} runs logged, {self.replaced} outdated ones deleted, {self.skipped} already there"
        )
        if self.reason is None:
            return counts
        return f"{counts}, {self.failed} not logged ({self.reason}): the same command tries them again"


class _Mirror(NamedTuple):
    """A run in MLflow.

    Attributes:
        run_id: Its id.
        of: When the record that it mirrors was finished; None if the run is incomplete.
        start: When it started, in milliseconds since 1970.
        of_store: True if it belongs to the store.
    """

    run_id: str
    of: str | None
    start: int
    of_store: bool


class _Todo(NamedTuple):
    record: Record
    experiment_id: str
    home: Home


def sync(store: Store, uri: str) -> SyncResult:
    """Logs every record that is missing in MLflow, and deletes incomplete and outdated runs of this store there.

    A record is identified by its digest and the time it was finished, so a second call logs nothing. If no launch uses
    the store, runs that are still running in MLflow are marked as killed. Errors of MLflow are part of the result.

    Args:
        store: The store.
        uri: The tracking URI.

    Raises:
        SymbenchError: A record cannot be read.
    """
    from filelock import FileLock

    with FileLock(store.root / "sync.lock"):
        store.refresh()
        try:
            return _Sync(store, uri, connect(uri)).run()
        except SymbenchError:
            raise
        except Exception as error:  # MLflow and what is below it raise many kinds
            failed = len(store.statuses())
            message = f"MLflow at {redacted(uri)} cannot be used: {reason(error)}"
            return SyncResult(failed=failed, reason=message, unusable=True)


class _Sync:
    def __init__(self, store: Store, uri: str, client: MlflowClient) -> None:
        self._store, self._uri, self._client = store, uri, client
        self._home = Home("", origin(store.root), store_id(store.root, store.address))
        self._launches = _launches(store.root)
        self._name = f"sync {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        self._suites: dict[str, _Suite] = {}
        self._failures: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> SyncResult:
        todo: list[_Todo] = []
        outdated: dict[str, list[str]] = {}
        records = 0
        for record in self._store.records():
            records += 1
            suite = self._suite(record.suite)
            mirrors = suite.mirrors.get(record.digest, [])
            current = next((mirror for mirror in mirrors if mirror.of == record.finished), None)
            if current is None:
                todo.append(
                    _Todo(
                        record, suite.experiment_id, self._home._replace(launch=self._launch_of(record) or self._name)
                    )
                )
            outdated[record.digest] = [
                mirror.run_id for mirror in mirrors if mirror is not current and self._is_outdated(mirror, record)
            ]
        with ThreadPoolExecutor(SERVER_THREADS if is_server(self._uri) else 1) as pool:
            logged = set(filter(None, pool.map(self._write, todo)))
        missing = {item.record.digest for item in todo} - logged
        stale = [run_id for digest, run_ids in outdated.items() if digest not in missing for run_id in run_ids]
        for run_id in stale:
            self._client.delete_run(run_id)
        for suite in self._suites.values():
            suite.flatten(set(stale))
        self._end_unfinished()
        self._publish()
        return SyncResult(
            logged=len(logged),
            replaced=len(stale),
            skipped=records - len(todo),
            failed=len(missing),
            reason=self._failures[0] if self._failures else None,
        )

    def _publish(self) -> None:
        """Writes the views of the experiments. If MLflow does not allow it, 'symbench ui' tries again."""
        for suite in self._suites.values():
            try:
                publish(self._client, self._client.get_experiment(suite.experiment_id))
            except Exception as error:  # as in sync
                _log.info("the views of an experiment could not be written: %s", reason(error))

    def _end_unfinished(self) -> None:
        """Marks runs as killed that launches could not end because MLflow did not answer.

        Does nothing during a launch, which holds the lock. Running runs are searched again under the lock, since a
        launch may have ended them meanwhile.
        """
        unfinished = [suite.experiment_id for suite in self._suites.values() if suite.has_unfinished]
        if not unfinished:
            return
        with contextlib.suppress(SymbenchError), self._store.lock():
            for experiment_id in unfinished:
                end_unfinished(self._client, experiment_id, self._home.store, self._home.store_id)

    def _suite(self, name: str) -> _Suite:
        if name not in self._suites:
            experiment_id = experiment(self._client, self._uri, name, self._store.root)
            self._suites[name] = _Suite(self._client, experiment_id, self._home)
        return self._suites[name]

    def _launch_of(self, record: Record) -> str | None:
        """The latest launch of that run before it began."""
        begin = datetime.fromisoformat(record.started)
        launches = [launch for launch in self._launches.get(record.digest, []) if launch.started <= begin]
        return max(launches, key=lambda launch: launch.started).id if launches else None

    def _is_outdated(self, mirror: _Mirror, record: Record) -> bool:
        """Returns True for runs of this store that started before the record was finished; later ones are retries."""
        return mirror.of_store and mirror.start < content.milliseconds(record.finished)

    def _write(self, item: _Todo) -> str | None:
        if len(self._failures) >= FAILURES:
            return None
        record = item.record
        try:
            start = content.milliseconds(record.started)
            points = content.history_points(self._store.history(record.digest).iter_rows(), record.started)
            job = Job(spec=record.spec, suite=record.suite)
            run_id = open_run(self._client, item.experiment_id, job, record.description, item.home, start)
            close_run(self._client, run_id, record, points, content.params(record.spec))
        except Exception as error:  # as in sync: the next call tries this one again
            _log.info("run %s could not be logged to MLflow", record.digest, exc_info=True)
            with self._lock:
                self._failures.append(reason(error))
            return None
        return record.digest


class _Suite:
    """The runs of a suite in MLflow: mirrors by digest, and what earlier versions nested."""

    def __init__(self, client: MlflowClient, experiment_id: str, home: Home) -> None:
        self.experiment_id = experiment_id
        self.mirrors: dict[str, list[_Mirror]] = {}
        self.has_unfinished = False
        self._client = client
        self._parents: list[str] = []
        self._nested: list[str] = []
        for run_id, status, start, tags in _runs(client, experiment_id):
            of_store = is_of(tags, home.store, home.store_id)
            self.has_unfinished |= of_store and status == "RUNNING"
            if digest := tags.get(content.DIGEST):
                of = tags.get(content.FINISHED) if status in ("FINISHED", "FAILED") else None
                self.mirrors.setdefault(digest, []).append(_Mirror(run_id, of, start, of_store))
            elif of_store and content.LAUNCH in tags:
                self._parents.append(run_id)
            if of_store and content.PARENT in tags:
                self._nested.append(run_id)

    def flatten(self, deleted: Set[str]) -> None:
        """Takes runs out of the runs for launches that earlier versions put them in, which MLflow's pages collapse."""
        for run_id in self._nested:
            if run_id not in deleted:
                self._client.delete_tag(run_id, content.PARENT)
        for run_id in self._parents:
            self._client.delete_run(run_id)


def _runs(client: MlflowClient, experiment_id: str) -> Iterator[tuple[str, str, int, Mapping[str, str]]]:
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=token)
        for run in page:
            tags = {
                name: text
                for name, text in run.data.tags.items()
                if name.startswith("symbench.") or name == content.PARENT
            }
            yield run.info.run_id, run.info.status, run.info.start_time, tags
        token = page.token
        if not token:
            return


class _Launch(NamedTuple):
    id: str
    started: datetime


def _launches(root: Path) -> Mapping[str, list[_Launch]]:
    """The launches of each digest, from the launch files of the store."""

    def read(launch: str, state: Mapping[str, Any]) -> tuple[_Launch, list[str]]:
        return _Launch(launch, datetime.fromisoformat(state["started"]).astimezone()), list(state["digests"])

    found: dict[str, list[_Launch]] = {}
    for launch, digests in launch_states(root, read):
        for digest in digests:
            found.setdefault(digest, []).append(launch)
    return found
