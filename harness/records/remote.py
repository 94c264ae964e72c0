"""A store at an address (``s3://bucket/folder``), with a folder on this machine that mirrors it.

Files are written to the folder first and then sent to the address one object at a time, a record after its weights and
its history.
A file that cannot be sent is marked in the folder and counts on this machine; the next command that opens the store
sends it first. Files that were written here and are missing at the address are sent again, never deleted. Files of
other machines are downloaded on demand. A record is written once: of two successes with the same settings, the first
one at the address counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import StoreError, SymbenchError
from harness.records.history import HistoryRow
from harness.records.layout import IMPORTED, SEARCHES, SEGMENTS
from harness.records.lease import Lease
from harness.records.ledger import Ledger
from harness.records.objects import Objects, patiently
from harness.records.record import Record, Status
from harness.records.record_files import run_of
from harness.records.remote_segments import SegmentsElsewhere
from harness.records.store import STALE_SECONDS, Store
from harness.records.weights import WeightsFile
from harness.utils.redaction import redacted
from tasks.sources.atomic_files import make_folder, staged, temporary

CHECKPOINT_SECONDS = 5.0
WAITS = (1.0, 3.0)
"""Seconds before each retry to send a record, which may be the result of hours of work."""

_log = logging.getLogger(__name__)


class RemoteStore(Store):
    """A store at an address.

    Args:
        address: An address that fsspec reads, such as ``s3://bucket/folder``.

    Raises:
        StoreError: The address cannot be reached, or the package for its protocol is not installed.
    """

    def __init__(self, address: str) -> None:
        self._objects = Objects(address.rstrip("/"))
        super().__init__(mirror(self._objects.url))
        try:
            self._ledger = Ledger(self.root)
        except OSError as error:
            raise self._unusable("created", error) from error
        self.segments: SegmentsElsewhere = SegmentsElsewhere(self.root / SEGMENTS, self._objects, self._ledger)
        self._lease: Lease | None = None
        self._objects.exists("records")
        self._send_unsent()

    @property
    def address(self) -> str:
        return self._objects.url

    def exists(self) -> bool:
        """Returns True if the store has ever been used."""
        return any(map(self._objects.exists, ("launches", "records")))

    def has_launch(self, launch_id: str) -> bool:
        return self._objects.exists(f"launches/{launch_id}.json")

    def try_writing(self) -> None:
        super().try_writing()
        probe = temporary(Path("launches/probe")).as_posix()
        self._objects.write(probe, b"-")
        self._objects.remove(probe)

    def refresh(self) -> None:
        self._send_unsent()
        for name in ("records", "launches"):
            self._pull(name)
        self._pull_imports()

    def search(self, name: str) -> RemoteStore:
        return RemoteStore(f"{self.address}/{SEARCHES}/{name}")

    def searches(self) -> list[Store]:
        return [self.search(name) for name in sorted(self._objects.names(SEARCHES))]

    def bring(self, path: Path) -> Path:
        if path not in self._ledger.unsent():
            self._fetch(path)
        return path

    def statuses(self) -> dict[str, Status]:
        self._send_unsent()
        self._pull("records")
        return super().statuses()

    def record_files(self) -> list[Path]:
        unsent = self._ledger.unsent()
        return [path for path in super().record_files() if path not in unsent]

    def bring_histories(self, records: Sequence[Path]) -> None:
        wanted = (self.history_path(*run_of(path)) for path in records)
        missing = [path.name for path in wanted if not path.exists()]
        self._objects.get_all("histories", missing, self.root / "histories")

    def remove(self, paths: Sequence[Path]) -> None:
        self._objects.remove_all([self._name(path) for path in paths])
        for path in paths:
            self._ledger.drop_copy(path)

    def bring_weights(self, weights: WeightsFile) -> Path:
        path = self.weights_path(weights)
        if not path.exists():
            self._fetch(path)
        return path

    def write(self, record: Record, history: Sequence[HistoryRow], weights: bytes = b"") -> None:
        """Writes to the folder, then sends the files to the address.

        Raises:
            StoreError: The files cannot be written or cannot be sent. Unsent files are kept here, and the next
                command sends them.
        """
        path = self.record_path(record.digest, record.status)
        marks = self._mark(path)
        try:
            super().write(record, history, weights)
        except SymbenchError:
            self._ledger.clear(marks)
            raise
        if path.exists():
            self._send_or_say(path, marks, WAITS)
        else:  # the run has succeeded before
            self._ledger.clear(marks)
        self._send_unsent()

    def write_launch(self, launch_id: str, values: Mapping[str, Any]) -> None:
        with self.sharing(self.root / "launches" / f"{launch_id}.json"):
            super().write_launch(launch_id, values)

    @contextlib.contextmanager
    def sharing(self, path: Path) -> Iterator[None]:
        marks = self._mark(path)
        yield
        self._send_or_say(path, marks)

    @contextlib.contextmanager
    def checkpoint(self, digest: str) -> Iterator[Path]:
        """The checkpoint of a run, whose new states a thread sends to the address.

        The run resumes from the state here if it could not be sent, else from that at the address.
        """
        with super().checkpoint(digest) as path:
            if not self._ledger.is_ahead(path) and self._fetch(path):
                self._ledger.note_level(path, self._ledger.state(path))
            ended = threading.Event()
            sender = threading.Thread(target=self._send_states, args=(path, ended), daemon=True)
            sender.start()
            try:
                yield path
            finally:
                ended.set()
                sender.join()

    def discard_checkpoint(self, digest: str) -> None:
        path = self.checkpoint_path(digest)
        marks = self._mark(path)
        super().discard_checkpoint(digest)
        with contextlib.suppress(SymbenchError):  # it is marked, so the next command removes it
            self._send(path, marks)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the lock of the store, which one launch on all machines has; see :mod:`~harness.records.lease`."""
        with super().lock():
            self._lease = lease = Lease(self._objects)
            lease.claim()
            try:
                yield
            finally:
                self._lease = None
                lease.leave()

    def check_lock(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _load(self, digest: str, status: Status) -> Record | None:
        path = self.record_path(digest, status)
        if not path.exists() and not (status == "succeeded" and self.segments.has(digest, status)):
            self._ledger.add_copy(path)
            if not self._fetch(path):
                self._ledger.drop_copy(path)
                self.segments.pull()
        return super()._load(digest, status)

    def _history_file(self, digest: str, status: Status) -> Path:
        path = super()._history_file(digest, status)
        if not path.exists() and not self._fetch(path):
            self.segments.pull()  # it may have been moved into a segment
        return path

    def _sweep(self) -> None:
        super()._sweep()
        for path, marks in self._ledger.unsent().items():
            with contextlib.suppress(FileNotFoundError):
                if not path.exists() and time.time() - marks[-1].stat().st_mtime > STALE_SECONDS:
                    self._ledger.clear(marks)

    # Uploads

    def _mark(self, path: Path) -> list[Path]:
        try:
            return self._ledger.mark(path)
        except OSError as error:
            raise self._unusable("written", error) from error

    def _send_or_say(self, path: Path, marks: Sequence[Path], waits: Sequence[float] = ()) -> None:
        try:
            patiently(lambda: self._send(path, marks), waits)
        except SymbenchError as error:
            self._ledger.renew(path)
            raise StoreError(
                f"{self._name(path)} is kept in {self.root} on {socket.gethostname()}, and the next command there "
                f"sends it. {error}"
            ) from error

    def _send_unsent(self) -> None:
        """Sends files that an earlier command or another process could not send; logs one warning if it fails again."""
        unsent = self._ledger.unsent()
        try:
            if any(path.parent.name == "records" for path in unsent):
                self.segments.pull()  # a segment may have the record of another machine
            for path, marks in unsent.items():
                self._send(path, marks)
        except SymbenchError as error:
            _log.warning("Some files in %s were not sent yet; the next command tries again. %s", self.root, error)

    def _send(self, path: Path, marks: Sequence[Path]) -> None:
        """Sends a file to the address, or removes it there if it was removed here; then clears its marks."""
        folder = path.relative_to(self.root).parts[0]
        if folder == "records":
            if not path.exists():
                return  # another process is about to write it
            self._send_record(*run_of(path))
        elif folder == SEGMENTS:
            if not path.exists():
                return
            self.segments.send(path)
        elif path.is_dir():
            deepest_first = sorted(path.rglob("*"), key=lambda one: (-len(one.parts), one))
            for one in deepest_first:
                self._put(one)
        elif folder == "checkpoints" and not path.exists():
            self._objects.remove(self._name(path))
        else:
            self._put(path)
        self._ledger.clear(marks)

    def _send_record(self, digest: str, status: Status) -> None:
        path, history = self.record_path(digest, status), self.history_path(digest, status)
        own = self._weights_of(digest, status)
        kept = self.segments.has(digest, "succeeded")
        succeeded = kept or self._objects.exists(self._name(self.record_path(digest, "succeeded")))
        if not succeeded:
            for one in (self.log_path(digest), *own, history, path):
                self._put(one)
        elif status == "succeeded":
            for one in (history, path):
                if not self._fetch(one) and kept:
                    one.unlink(missing_ok=True)
            for one in own - self._weights_of(digest, status):
                one.unlink(missing_ok=True)
        if status == "succeeded":
            for one in (self.record_path(digest, "failed"), self.history_path(digest, "failed")):
                self._objects.remove(self._name(one))

    def _weights_of(self, digest: str, status: Status) -> set[Path]:
        """The path of the weights that the record of a run in :attr:`root` names, if it names some."""
        record = Store._load(self, digest, status)
        return {self.weights_path(record.weights)} if record is not None and record.weights else set()

    def _put(self, path: Path) -> None:
        if path.is_file():
            self._objects.put(path, self._name(path))

    def _send_states(self, path: Path, ended: threading.Event) -> None:
        over = False
        while not over:
            over = ended.wait(CHECKPOINT_SECONDS)
            with contextlib.suppress(OSError, SymbenchError):  # the next state may get through
                if self._ledger.is_ahead(path):
                    state = self._ledger.state(path)
                    self._put(path)
                    self._ledger.note_level(path, state)

    # Downloads

    def _fetch(self, path: Path) -> bool:
        """Downloads a file. Returns False if it is not at the address."""
        return self._objects.get(self._name(path), path)

    def _pull(self, name: str) -> None:
        """Downloads the new and changed files of a folder.

        Copies that are missing at the address are dropped; files that were written here are sent again.
        """
        folder = self.root / name
        copies = set(self._ledger.copies(folder))  # before the listing, so that copies made later are not dropped
        names = {one for one in self._objects.names(name) if one.endswith(".json")}
        again = self.segments.pull() if name == "records" else []  # after the listing: a segment may have it
        unsent = self._ledger.unsent()
        gone = [path for path in folder.glob("*.json") if path.name not in names and path not in unsent]
        lost_files = [path for path in gone if not (path in copies or self._is_kept(path, names))]
        for path in set(gone) - set(lost_files):
            self._drop(path)
        if again or lost_files:
            lost = len(again) + len(lost_files)
            _log.warning("%d files of %s are missing at %s and are sent again.", lost, self.root, self.address)
            for path in again + lost_files:
                self._mark(path)
            self._send_unsent()
        missing = {one for one in names if folder / one not in unsent and _lacks(folder / one)}

        def arriving(one: str) -> None:
            if not (folder / one).exists():
                self._ledger.add_copy(folder / one)

        self._objects.get_all(name, missing, folder, arriving)

    def _is_kept(self, path: Path, names: set[str]) -> bool:
        """Returns True if a record that is missing at the address is there in another file, or one that counts more."""
        digest, status = run_of(path)
        if path.parent.name != "records" or f"{digest}.json" in names:
            return f"{digest}.json" in names
        if status == "failed" and self.segments.has(digest, "succeeded"):
            return True
        return self.segments.find(digest, status) == path.read_text(encoding="utf-8", errors="replace")

    def _drop(self, path: Path) -> None:
        if path.parent.name == "records":
            self.history_path(*run_of(path)).unlink(missing_ok=True)
        self._ledger.drop_copy(path)

    def _pull_imports(self) -> None:
        """Downloads bundles that other machines imported, each atomically; a manifest is uploaded last."""
        for source in sorted(self._objects.names(IMPORTED)):
            there, target = f"{IMPORTED}/{source}", self.root / IMPORTED / source
            files = {one for one in self._objects.names(there) if one != "records"}
            if not files or target.exists():
                continue
            try:
                with staged(target) as folder:
                    records = folder / "records"
                    make_folder(records)
                    self._objects.get_all(f"{there}/records", self._objects.names(f"{there}/records"), records)
                    self._objects.get_all(there, files, folder)
            except OSError as error:
                if not target.exists():  # otherwise another process has downloaded it
                    raise self._unusable("written", error) from error

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _lacks(path: Path) -> bool:
    """Returns True if a file is not here, or is the file of a launch that was running, which changes."""
    if path.parent.name != "launches":
        return not path.exists()
    try:
        return bool(json.loads(path.read_bytes()).get("status") == "running")
    except (FileNotFoundError, ValueError):
        return True


def mirror(url: str) -> Path:
    """The folder on this machine that mirrors the store at ``url``."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", redacted(url)).strip("-")[:60]
    return home / "symbench" / "stores" / f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:8]}" / "store"
