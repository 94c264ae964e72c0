"""The folder in which runs leave their records: the source of truth, plain files, safe to kill at any moment.

A record counts once its file is in place, and it is put there in one step after its history. A succeeded run is
``records/<digest>.json``, a failed one ``records/<digest>.failed.json``; where both exist the success counts. Many of
them can be taken together into a segment (:mod:`~harness.records.compaction`), which holds them until they are written
again.
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
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import SymbenchError
from harness.records.history import HistoryRow
from harness.records.layout import FOLDERS, SEARCHES, SEGMENTS, stores_in
from harness.records.mlflow_uri import mlflow_uri
from harness.records.record import SCHEMA, Record
from harness.records.segments import Segments, Status
from harness.utils.redaction import redacted_values
from tasks.sources.atomic_files import TEMPORARY, make_folder, publish, temporary, write_new

if TYPE_CHECKING:
    import polars as pl

STATUSES: tuple[Status, ...] = ("succeeded", "failed")
"""The one that counts first."""
FAILED = ".failed"
STALE_SECONDS = 3600.0
HISTORY_ROWS, HISTORY_BYTES = 1_000_000, 1 << 26
"""Far more than any run keeps: a history with more is none of ours."""
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_GLANCE_BYTES = 1 << 16

_log = logging.getLogger(__name__)


class Store:
    """One store. Raises :class:`SymbenchError` where it cannot be created or written."""

    def __init__(self, root: Path) -> None:
        try:
            self._spelled = Path(root).expanduser().absolute()
            self.root = self._spelled.resolve()  # however it is spelled, it is one store
        except RuntimeError as error:  # links in a circle, or the home of nobody
            raise SymbenchError(f"{root} is no folder for a store ({error}): choose another --store.") from error
        try:
            for name in FOLDERS:
                make_folder(self.root / name)
        except OSError as error:
            raise self._unusable("created", error) from error
        if not all(os.access(self.root / name, os.W_OK | os.X_OK) for name in FOLDERS):
            raise SymbenchError(f"The store {self.root} is read-only: permit writing or choose another --store.")
        self.segments = Segments(self.root / SEGMENTS)

    @property
    def address(self) -> str:
        """What opens this store from any machine that sees it: as it was given, since links may differ there."""
        return str(self._spelled)

    def has_launch(self, launch_id: str) -> bool:
        return (self.root / "launches" / f"{launch_id}.json").exists()

    def refresh(self) -> None:
        """Brings into :attr:`root` the records and launches that other machines wrote."""

    def search(self, name: str) -> Store:
        """The store of a search's trials, which never stand among the runs of suites."""
        return Store(self.root / SEARCHES / name)

    def searches(self) -> list[Store]:
        """The stores of all searches in this one."""
        return [Store(folder) for folder in stores_in(self.root / SEARCHES)]

    def bring(self, path: Path) -> Path:
        """``path``, a file of the store as it was last shared (:meth:`sharing`), by whichever machine."""
        return path

    def try_writing(self) -> None:
        """Raises :class:`SymbenchError` where this process cannot write here."""
        path = temporary(self.root / "launches" / "probe")
        try:
            write_new(path, b"")
            path.unlink()
        except OSError as error:
            raise self._unusable("written", error) from error

    @property
    def mlflow_uri(self) -> str:
        """``MLFLOW_TRACKING_URI`` where it is set, else an SQLite file beside the records."""
        return mlflow_uri(self.root)

    def record_path(self, digest: str, status: Status) -> Path:
        return self.root / "records" / f"{_name(digest, status)}.json"

    def history_path(self, digest: str, status: Status) -> Path:
        return self.root / "histories" / f"{_name(digest, status)}.parquet"

    def checkpoint_path(self, digest: str) -> Path:
        return self.root / "checkpoints" / f"{digest}.pt"

    @contextlib.contextmanager
    def checkpoint(self, digest: str) -> Iterator[Path]:
        """Where a run keeps its state while it goes on; what an earlier try left lies there."""
        yield self.checkpoint_path(digest)

    def discard_checkpoint(self, digest: str) -> None:
        self.checkpoint_path(digest).unlink(missing_ok=True)

    def log_path(self, digest: str) -> Path:
        return self.root / "logs" / f"{digest}.log"

    def record_files(self) -> list[Path]:
        """The records that are files of their own and lie wherever the store is, so that a segment can take them in."""
        return [path for path in (self.root / "records").glob("*.json") if not path.name.startswith(".")]

    def bring_histories(self, records: Sequence[Path]) -> None:
        """Brings into :attr:`root` the histories of these files, as :meth:`record_files` gives them."""

    def remove(self, paths: Sequence[Path]) -> None:
        """Removes files, in this order, wherever the store is. Raises :class:`SymbenchError` where it cannot."""
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable("written", error) from error

    def statuses(self) -> dict[str, Status]:
        """Every run that has a record. A damaged one is moved aside and its run does not count."""
        files = self._statuses_of_files()  # a record that goes into a segment meanwhile is seen twice, not missed
        found = self.segments.statuses()
        return found | {digest: status for digest, status in files.items() if found.get(digest) != "succeeded"}

    def _statuses_of_files(self) -> dict[str, Status]:
        """In one scan."""
        found: dict[str, Status] = {}
        folder = os.open(self.root / "records", os.O_RDONLY)
        try:
            for name in os.listdir(folder):
                if not name.endswith(".json"):
                    continue
                digest, status = run_of(Path(name))
                if found.get(digest) == "succeeded":
                    continue
                if _looks_whole(folder, name):
                    found[digest] = status
                elif (record := self.read(digest)) is not None:
                    found[digest] = record.status
        finally:
            os.close(folder)
        return found

    def read(self, digest: str) -> Record | None:
        """The run's record, the succeeded one if there is one. ``None`` where there is none or it was damaged."""
        return self._load(digest, "succeeded") or self._load(digest, "failed")

    def records(self) -> Iterator[Record]:
        """Every record, by digest."""
        for digest in sorted(self.statuses()):
            if (record := self.read(digest)) is not None:
                yield record

    def write(self, record: Record, history: Sequence[HistoryRow]) -> None:
        """Puts the history and then the record in place. A failed record never replaces a succeeded one.

        Raises :class:`SymbenchError` where the files cannot be written; nothing half-written remains.
        """
        digest, status = record.digest, record.status
        if status == "failed" and Store._load(self, digest, "succeeded") is not None:  # of another machine's: as sent
            return
        body = json.dumps(record.to_dict(), indent=1, allow_nan=False).encode() + b"\n"
        try:
            publish({self.history_path(digest, status): _parquet(history), self.record_path(digest, status): body})
            if self.record_path(digest, "succeeded").exists():
                self.record_path(digest, "failed").unlink(missing_ok=True)
                self.history_path(digest, "failed").unlink(missing_ok=True)
        except OSError as error:
            raise SymbenchError(
                f"The record of run {digest} cannot be written to {self.root} ({error.strerror}): "
                "make room or choose another --store, then start the launch again."
            ) from error

    def history(self, digest: str) -> pl.DataFrame:
        """Columns ``step`` (int64), ``name`` (str), ``value`` (f64) and ``seconds`` (f64, since the run began).

        Raises :class:`SymbenchError` where the file is damaged.
        """
        for status in STATUSES:
            if self.record_path(digest, status).exists() and (path := self._history_file(digest, status)).exists():
                return self._read_history(path, digest)
            if (found := self.segments.history(digest, status)) is not None:
                return found
        self._history_file(digest, "failed")
        return self.history_of_file(digest, "failed")

    def history_of_file(self, digest: str, status: Status) -> pl.DataFrame:
        """That of a record that is a file of its own. Raises as :meth:`history`."""
        path = self.history_path(digest, status)
        return self._read_history(path, digest) if path.exists() else _frame([])

    def _read_history(self, path: Path, digest: str) -> pl.DataFrame:
        import pyarrow as pa

        from harness.records.parquet import read_parquet

        types = {"step": pa.int64(), "name": pa.large_string(), "value": pa.float64(), "seconds": pa.float64()}
        try:
            return read_parquet(path, pa.schema(types), most_rows=HISTORY_ROWS, most_bytes=HISTORY_BYTES)
        except (OSError, ValueError) as error:
            raise SymbenchError(
                f"The history {path} cannot be read: delete it and the record of run {digest}, then run that again."
            ) from error

    def write_launch(self, launch_id: str, values: Mapping[str, Any]) -> None:
        """What a launch was, without secrets, as ``launches/<id>.json``.

        Raises :class:`SymbenchError` where it cannot be written.
        """
        path = self.root / "launches" / f"{launch_id}.json"
        try:
            publish({path: json.dumps(redacted_values(values), indent=1).encode() + b"\n"})
        except OSError as error:
            raise self._unusable("written", error) from error

    @contextlib.contextmanager
    def sharing(self, path: Path) -> Iterator[None]:
        """What the block puts at ``path``, a file or a whole folder in the store, is for other machines too.

        Raises :class:`SymbenchError` where it cannot be sent to them; it is kept then, and the next command sends it.
        """
        yield

    def check_lock(self) -> None:
        """Raises :class:`SymbenchError` where the block of :meth:`lock` goes on, and another launch has the store."""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held by a launch. Raises :class:`SymbenchError` that says who holds it; a killed holder's lock is free."""
        from filelock import FileLock, Timeout

        held = FileLock(self.root / "launch.lock")
        holder = self.root / "launch.holder.json"
        try:
            held.acquire(timeout=0)
        except Timeout as error:
            raise SymbenchError(
                f"Another launch ({_read_holder(holder)}) is using the store {self.root}: "
                "wait for it or choose another --store."
            ) from error
        except OSError as error:
            raise self._unusable("locked", error) from error
        try:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            values = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
            with contextlib.suppress(OSError):  # the lock holds without it: only the other launch's sentence says less
                publish({holder: json.dumps(values).encode()})
            self._sweep()
            yield
        finally:
            holder.unlink(missing_ok=True)
            held.release()

    def _history_file(self, digest: str, status: Status) -> Path:
        return self.history_path(digest, status)

    def _unusable(self, done: str, error: OSError) -> SymbenchError:
        return SymbenchError(f"The store {self.root} cannot be {done} ({error.strerror}): choose another --store.")

    def _load(self, digest: str, status: Status) -> Record | None:
        return self._load_file(digest, status) or self._load_kept(digest, status)

    def _load_kept(self, digest: str, status: Status) -> Record | None:
        body = self.segments.find(digest, status)
        try:
            return None if body is None else parsed(body.encode(), digest, status, self.segments.folder)
        except DAMAGE as error:
            raise SymbenchError(f"The record of run {digest} in {self.segments.folder} cannot be read.") from error

    def _load_file(self, digest: str, status: Status) -> Record | None:
        path = self.record_path(digest, status)
        try:
            with path.open("rb") as file:
                body, inode = file.read(), os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SymbenchError(f"The record {path} cannot be read ({error.strerror}).") from error
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
            if path.stat().st_ino != inode:  # replaced by a whole one meanwhile
                return
            path.rename(target)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SymbenchError(f"The damaged record {path} cannot be moved aside ({error.strerror}).") from error
        _log.warning(
            "The record %s is damaged (%s: %s): it was moved to %s and its run counts as not done.",
            path.name,
            type(reason).__name__,
            reason,
            target,
        )

    def _sweep(self) -> None:
        """Removes what killed writers left behind. Young files stay: a lost worker may still be at it."""
        for name in FOLDERS:
            for path in (self.root / name).glob(TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > STALE_SECONDS:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


def parsed(body: bytes, digest: str, status: Status, path: Path) -> Record:
    """Raises one of :data:`DAMAGE` where it is not the record of that run, and :class:`SymbenchError` where a later
    symbench wrote it."""
    values = json.loads(body)
    if isinstance(values, dict) and isinstance(schema := values.get("schema"), int) and schema > SCHEMA:
        raise SymbenchError(
            f"The record {path} was written by a newer symbench (schema {schema}; this one reads {SCHEMA}): "
            "update symbench."
        )
    record = Record.from_dict(values)
    if (values["digest"], record.status) != (digest, status):
        raise ValueError(f"it is the {record.status} record of run {values['digest']}")
    return record


def _name(digest: str, status: Status) -> str:
    return digest if status == "succeeded" else f"{digest}{FAILED}"


def run_of(record: Path) -> tuple[str, Status]:
    """The digest and the status that the name of a record's file tells."""
    digest = record.stem.removesuffix(FAILED)
    return digest, "succeeded" if digest == record.stem else "failed"


def _looks_whole(folder: int, name: str) -> bool:
    """A cheap test that a record cut short or filled with zeros does not pass; where it says no, parsing decides."""
    try:
        file = os.open(name, os.O_RDONLY, dir_fd=folder)
    except OSError:
        return False
    try:
        body = os.read(file, _GLANCE_BYTES)
    except OSError:
        return False
    finally:
        os.close(file)
    balanced = body.count(b"{") == body.count(b"}") and b"\0" not in body
    return balanced and body.startswith(b"{") and body.endswith(b"}\n")


def _frame(rows: Sequence[HistoryRow]) -> pl.DataFrame:
    import polars as pl

    schema = {"step": pl.Int64, "name": pl.String, "value": pl.Float64, "seconds": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _parquet(rows: Sequence[HistoryRow]) -> bytes:
    buffer = BytesIO()
    _frame(rows).write_parquet(buffer)
    return buffer.getvalue()


def _read_holder(path: Path) -> str:
    try:
        values = json.loads(path.read_bytes())
        return f"pid {values['pid']} on {values['host']}, since {values['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "of unknown pid"
