"""The folder in which runs leave their records: the source of truth, plain files, safe to kill at any moment.

A record counts once its file is in place, and it is put there in one step after its history. A succeeded run is
``records/<digest>.json``, a failed one ``records/<digest>.failed.json``; where both exist the success counts.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import SymbenchError
from harness.records.history import HistoryRow
from harness.records.record import Record

if TYPE_CHECKING:
    import polars as pl

Status = Literal["succeeded", "failed"]

FOLDERS = ("records", "histories", "checkpoints", "logs", "launches", "mlartifacts")
IMPORTED = "imported"
"""The folder of what others ran: ``imported/<bundle>/records``, made by the first import."""
FAILED = ".failed"
STALE_SECONDS = 3600.0
_GLANCE_BYTES = 1 << 16

_log = logging.getLogger(__name__)


class Store:
    """One store. Raises :class:`SymbenchError` where it cannot be created or written."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).expanduser().absolute()
        try:
            for name in FOLDERS:
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable("created", error) from error
        if not all(os.access(self.root / name, os.W_OK | os.X_OK) for name in FOLDERS):
            raise SymbenchError(f"The store {self.root} is read-only: permit writing or choose another --store.")

    @property
    def address(self) -> str:
        """What opens this store from any machine that sees it."""
        return str(self.root)

    def has_launch(self, launch_id: str) -> bool:
        return (self.root / "launches" / f"{launch_id}.json").exists()

    def refresh(self) -> None:
        """Brings into :attr:`root` the records and launches that other machines wrote."""

    def try_writing(self) -> None:
        """Raises :class:`SymbenchError` where this process cannot write here."""
        path = self.root / "launches" / f".{uuid.uuid4().hex}.tmp"
        try:
            _write_durably(path, b"")
            path.unlink()
        except OSError as error:
            raise self._unusable("written", error) from error

    @property
    def mlflow_uri(self) -> str:
        """``MLFLOW_TRACKING_URI`` where it is set, else an SQLite file beside the records."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

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

    def statuses(self) -> dict[str, Status]:
        """Every run that has a record. One scan; a damaged record is moved aside and its run does not count."""
        found: dict[str, Status] = {}
        folder = os.open(self.root / "records", os.O_RDONLY)
        try:
            for name in os.listdir(folder):
                if not name.endswith(".json"):
                    continue
                stem = name.removesuffix(".json")
                digest, status = stem.removesuffix(FAILED), _status(stem)
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
        if status == "failed" and self._load(digest, "succeeded") is not None:
            return
        body = json.dumps(record.to_dict(), indent=1, allow_nan=False).encode() + b"\n"
        try:
            _publish({self.history_path(digest, status): _parquet(history), self.record_path(digest, status): body})
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
        import polars as pl

        status: Status = "succeeded" if self.record_path(digest, "succeeded").exists() else "failed"
        path = self._history_file(digest, status)
        try:
            return pl.read_parquet(path) if path.exists() else _frame([])
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SymbenchError(
                f"The history {path} cannot be read: delete it and the record of run {digest}, then run that again."
            ) from error

    def write_launch(self, launch_id: str, values: Mapping[str, Any]) -> None:
        """What a launch was, as ``launches/<id>.json``. Raises :class:`SymbenchError` where it cannot be written."""
        path = self.root / "launches" / f"{launch_id}.json"
        try:
            _publish({path: json.dumps(values, indent=1).encode() + b"\n"})
        except OSError as error:
            raise self._unusable("written", error) from error

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
                _publish({holder: json.dumps(values).encode()})
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
        path = self.record_path(digest, status)
        try:
            with path.open("rb") as file:
                body, inode = file.read(), os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SymbenchError(f"The record {path} cannot be read ({error.strerror}).") from error
        try:
            values = json.loads(body)
            record = Record.from_dict(values)
            if (values["digest"], record.status) != (digest, status):
                raise ValueError(f"it is the {record.status} record of run {values['digest']}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._set_aside(path, inode, error)
            return None
        return record

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
            path.name, type(reason).__name__, reason, target,
        )  # fmt: skip

    def _sweep(self) -> None:
        """Removes what killed writers left behind. Young files stay: a lost worker may still be at it."""
        for name in ("records", "histories", "launches"):
            for path in (self.root / name).glob(".*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > STALE_SECONDS:
                        path.unlink()


def _name(digest: str, status: Status) -> str:
    return digest if status == "succeeded" else f"{digest}{FAILED}"


def _status(stem: str) -> Status:
    return "failed" if stem.endswith(FAILED) else "succeeded"


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


def _publish(files: Mapping[Path, bytes]) -> None:
    """Writes every file beside its place, then moves them there in the given order: before that nothing is seen."""
    staged = {path: path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp") for path in files}
    try:
        for path, body in files.items():
            _write_durably(staged[path], body)
        for path, temporary in staged.items():
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def _write_durably(path: Path, body: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        view = memoryview(body)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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
