"""The folder with the records of runs: plain files, which are the source of truth.

A record is written atomically, after its weights and its history, so a process can be killed at any moment. The record
of a succeeded run is ``records/<digest>.json``, that of a failed one ``records/<digest>.failed.json``; if both exist
the success counts. Many records can be moved into a segment (:mod:`~harness.records.compaction`); a single file is
later than any segment.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StoreError
from harness.records.history import HistoryRow
from harness.records.history_file import history_frame, history_parquet, read_history
from harness.records.layout import FOLDERS, SEARCHES, SEGMENTS, stores_in
from harness.records.mlflow_uri import mlflow_uri
from harness.records.record import Record, Status
from harness.records.record_files import DAMAGE, looks_whole, parsed, record_stem, run_of
from harness.records.segments import Segments
from harness.records.weights import WeightsFile
from harness.utils.redaction import redacted_values
from tasks.sources.atomic_files import TEMPORARY, make_folder, publish, temporary, write_new

if TYPE_CHECKING:
    import polars as pl

STATUSES: tuple[Status, ...] = ("succeeded", "failed")
"""In order of precedence."""
STALE_SECONDS = 3600.0

_log = logging.getLogger(__name__)


class Store:
    """A store in a folder.

    Args:
        root: The folder, created if it does not exist.

    Raises:
        StoreError: The folder cannot be created or written.

    Example:
        A record is read by the digest of its run. Runs without a record are those that a launch executes.

        >>> import tempfile
        >>> from harness.records.description import describe
        >>> from harness.registry import resolve
        >>> spec = resolve("nbody", "egnn", "quick", seed=0)
        >>> time = "2026-01-01T00:00:00+00:00"
        >>> record = Record(
        ...     spec=spec, suite="quick", status="succeeded", description=describe(spec), started=time, finished=time,
        ...     metrics={"mse": 0.5},
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store(Path(folder))
        ...     store.read(spec.digest) is None
        ...     store.write(record, [HistoryRow(step=1, name="train_loss", value=0.7, seconds=2.0)])
        ...     store.statuses() == {spec.digest: "succeeded"}
        ...     store.read(spec.digest).metrics["mse"]
        ...     store.history(spec.digest)["name"].to_list()
        True
        True
        0.5
        ['train_loss']
    """

    def __init__(self, root: Path) -> None:
        try:
            self._spelled = Path(root).expanduser().absolute()
            self.root = self._spelled.resolve()  # all spellings of a path are one store
        except RuntimeError as error:  # circular links, or an unknown home folder
            raise StoreError(f"{root} is no folder for a store ({error}): choose another --store.") from error
        try:
            for name in FOLDERS:
                make_folder(self.root / name)
        except OSError as error:
            raise self._unusable("created", error) from error
        if not all(os.access(self.root / name, os.W_OK | os.X_OK) for name in FOLDERS):
            raise StoreError(f"The store {self.root} is read-only: permit writing or choose another --store.")
        self.segments = Segments(self.root / SEGMENTS)

    @property
    def address(self) -> str:
        """The address that opens this store from any machine that sees it, as given, since links may differ there."""
        return str(self._spelled)

    def has_launch(self, launch_id: str) -> bool:
        """Returns True if the store has a launch with this id."""
        return (self.root / "launches" / f"{launch_id}.json").exists()

    def refresh(self) -> None:
        """Downloads records and launches of other machines into :attr:`root`."""

    def search(self, name: str) -> Store:
        """The store with the trials of a search, which are kept apart from the runs of suites."""
        return Store(self.root / SEARCHES / name)

    def searches(self) -> list[Store]:
        """The stores of all searches in this one."""
        return [Store(folder) for folder in stores_in(self.root / SEARCHES)]

    def bring(self, path: Path) -> Path:
        """Downloads the version of a file of the store that was shared last (:meth:`sharing`). Returns ``path``."""
        return path

    def try_writing(self) -> None:
        """Raises SymbenchError if this process cannot write to the store."""
        path = temporary(self.root / "launches" / "probe")
        try:
            write_new(path, b"")
            path.unlink()
        except OSError as error:
            raise self._unusable("written", error) from error

    @property
    def mlflow_uri(self) -> str:
        """``MLFLOW_TRACKING_URI`` if it is set, else the URI of an SQLite file in the store."""
        return mlflow_uri(self.root)

    def record_path(self, digest: str, status: Status) -> Path:
        """The file of a record."""
        return self.root / "records" / f"{record_stem(digest, status)}.json"

    def history_path(self, digest: str, status: Status) -> Path:
        """The file of the history of a record."""
        return self.root / "histories" / f"{record_stem(digest, status)}.parquet"

    def weights_path(self, weights: WeightsFile) -> Path:
        """The file with the weights of a record, which may be at the address only (:meth:`bring_weights`)."""
        return self.root / weights.file

    def bring_weights(self, weights: WeightsFile) -> Path:
        """Downloads the file with the weights of a record into :attr:`root` if it is not there. Returns its path."""
        return self.weights_path(weights)

    def checkpoint_path(self, digest: str) -> Path:
        """The file of a run's checkpoint."""
        return self.root / "checkpoints" / f"{digest}.pt"

    @contextlib.contextmanager
    def checkpoint(self, digest: str) -> Iterator[Path]:
        """The file for a run's state during training, which may exist from an earlier attempt."""
        yield self.checkpoint_path(digest)

    def discard_checkpoint(self, digest: str) -> None:
        """Deletes the checkpoint of a run."""
        self.checkpoint_path(digest).unlink(missing_ok=True)

    def log_path(self, digest: str) -> Path:
        """The file with the log of a run."""
        return self.root / "logs" / f"{digest}.log"

    def record_files(self) -> list[Path]:
        """The files of single records that a compaction may move into a segment: those that are not unsent."""
        return [path for path in (self.root / "records").glob("*.json") if not path.name.startswith(".")]

    def bring_histories(self, records: Sequence[Path]) -> None:
        """Downloads the histories of these files of records into :attr:`root`."""

    def remove(self, paths: Sequence[Path]) -> None:
        """Removes files of the store, at its address too.

        Raises:
            StoreError: A file cannot be removed.
        """
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable("written", error) from error

    def statuses(self) -> dict[str, Status]:
        """The status of every run that has a record, by digest. Damaged records are moved aside and do not count."""
        files = self._statuses_of_files()  # before segments: a record that is moved meanwhile is seen twice, not missed
        found = self.segments.statuses()
        return found | {digest: status for digest, status in files.items() if found.get(digest) != "succeeded"}

    def _statuses_of_files(self) -> dict[str, Status]:
        """The statuses of single files, in one scan of the folder."""
        found: dict[str, Status] = {}
        folder = os.open(self.root / "records", os.O_RDONLY)
        try:
            for name in os.listdir(folder):
                if not name.endswith(".json"):
                    continue
                digest, status = run_of(Path(name))
                if found.get(digest) == "succeeded":
                    continue
                if looks_whole(folder, name):
                    found[digest] = status
                elif (record := self.read(digest)) is not None:
                    found[digest] = record.status
        finally:
            os.close(folder)
        return found

    def read(self, digest: str) -> Record | None:
        """Returns the record of a run, a success before a failure; None if there is none or it was damaged."""
        return self._load(digest, "succeeded") or self._load(digest, "failed")

    def records(self) -> Iterator[Record]:
        """All records in order of digest."""
        for digest in sorted(self.statuses()):
            if (record := self.read(digest)) is not None:
                yield record

    def write(self, record: Record, history: Sequence[HistoryRow], weights: bytes = b"") -> None:
        """Writes the weights, the history and then the record of a run. A failure never replaces a success.

        Args:
            record: The record.
            history: The metrics that the run logged.
            weights: The content of the file ``record.weights``, if it has one.

        Raises:
            StoreError: The files cannot be written. No partial file remains.
        """
        digest, status = record.digest, record.status
        if status == "failed" and Store._load(self, digest, "succeeded") is not None:  # those at an address: when sent
            return
        body = json.dumps(record.to_dict(), indent=1, allow_nan=False).encode() + b"\n"
        kept = {self.weights_path(record.weights): weights} if record.weights else {}
        files = {self.history_path(digest, status): history_parquet(history), self.record_path(digest, status): body}
        try:
            publish(kept | files)
            if self.record_path(digest, "succeeded").exists():
                self.record_path(digest, "failed").unlink(missing_ok=True)
                self.history_path(digest, "failed").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"The record of run {digest} cannot be written to {self.root} ({error.strerror}): "
                "make room or choose another --store, then start the launch again."
            ) from error

    def history(self, digest: str) -> pl.DataFrame:
        """The metrics that a run logged.

        Returns:
            Columns ``step`` (int64), ``name`` (str), ``value`` (float64) and ``seconds`` (float64, since the start of
            the run); no rows if the run has no record.

        Raises:
            StoreError: The file is damaged.
        """
        for status in STATUSES:
            if self.record_path(digest, status).exists() and (path := self._history_file(digest, status)).exists():
                return read_history(path, digest)
            if (found := self.segments.history(digest, status)) is not None:
                return found
        self._history_file(digest, "failed")
        return self.history_of_file(digest, "failed")

    def history_of_file(self, digest: str, status: Status) -> pl.DataFrame:
        """The history of a record that is a single file; see :meth:`history`."""
        path = self.history_path(digest, status)
        return read_history(path, digest) if path.exists() else history_frame([])

    def write_launch(self, launch_id: str, values: Mapping[str, Any]) -> None:
        """Writes the facts about a launch, without secrets, to ``launches/<id>.json``.

        Raises:
            StoreError: The file cannot be written.
        """
        path = self.root / "launches" / f"{launch_id}.json"
        try:
            publish({path: json.dumps(redacted_values(values), indent=1).encode() + b"\n"})
        except OSError as error:
            raise self._unusable("written", error) from error

    @contextlib.contextmanager
    def sharing(self, path: Path) -> Iterator[None]:
        """Shares a file or folder of the store, which the block writes, with other machines.

        Raises:
            StoreError: It cannot be sent. It is kept, and the next command sends it.
        """
        yield

    def check_lock(self) -> None:
        """Raises SymbenchError if another launch took the store during the block of :meth:`lock`."""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the lock of the store, which one launch has at a time. The lock of a killed process is free.

        Raises:
            StoreError: Another launch holds the lock.
        """
        from filelock import FileLock, Timeout

        held = FileLock(self.root / "launch.lock")
        holder = self.root / "launch.holder.json"
        try:
            held.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(
                f"Another launch ({_read_holder(holder)}) is using the store {self.root}: "
                "wait for it or choose another --store."
            ) from error
        except OSError as error:
            raise self._unusable("locked", error) from error
        try:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            values = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
            with contextlib.suppress(OSError):  # it only serves the message to other launches
                publish({holder: json.dumps(values).encode()})
            self._sweep()
            yield
        finally:
            holder.unlink(missing_ok=True)
            held.release()

    def _history_file(self, digest: str, status: Status) -> Path:
        return self.history_path(digest, status)

    def _unusable(self, done: str, error: OSError) -> StoreError:
        return StoreError(f"The store {self.root} cannot be {done} ({error.strerror}): choose another --store.")

    def _load(self, digest: str, status: Status) -> Record | None:
        return self._load_file(digest, status) or self._load_kept(digest, status)

    def _load_kept(self, digest: str, status: Status) -> Record | None:
        body = self.segments.find(digest, status)
        try:
            return None if body is None else parsed(body.encode(), digest, status, self.segments.folder)
        except DAMAGE as error:
            raise StoreError(f"The record of run {digest} in {self.segments.folder} cannot be read.") from error

    def _load_file(self, digest: str, status: Status) -> Record | None:
        path = self.record_path(digest, status)
        try:
            with path.open("rb") as file:
                body, inode = file.read(), os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"The record {path} cannot be read ({error.strerror}).") from error
        try:
            return parsed(body, digest, status, path)
        except DAMAGE as error:
            self._set_aside(path, inode, error)
            return None

    def _set_aside(self, path: Path, inode: int, reason: Exception) -> None:
        corrupt = path.parent / "corrupt"
        target = corrupt / f"{path.name}.{uuid.uuid4().hex[:8]}"
        try:
            corrupt.mkdir(exist_ok=True)
            if path.stat().st_ino != inode:  # another process has replaced it
                return
            path.rename(target)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"The damaged record {path} cannot be moved aside ({error.strerror}).") from error
        _log.warning(
            "The record %s is damaged (%s: %s): it was moved to %s and its run counts as not done.",
            path.name,
            type(reason).__name__,
            reason,
            target,
        )

    def _sweep(self) -> None:
        """Removes the temporary files of killed writers, except recent ones, which a lost worker may still write."""
        for name in FOLDERS:
            for path in (self.root / name).glob(TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > STALE_SECONDS:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _read_holder(path: Path) -> str:
    try:
        values = json.loads(path.read_bytes())
        return f"pid {values['pid']} on {values['host']}, since {values['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "of unknown pid"
