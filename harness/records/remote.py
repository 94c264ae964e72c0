"""A store behind an address (``s3://bucket/folder``): a folder on this machine that is kept level with it.

What is written goes to the folder first and then, one object at a time, to the address; what other machines wrote
comes when it is asked for. Nobody reads half an object from an object store, and records are written once, so two
folders never disagree.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import psutil

from harness.errors import SymbenchError
from harness.records.history import HistoryRow
from harness.records.record import Record
from harness.records.store import STALE_SECONDS, Status, Store

T = TypeVar("T")

HEARTBEAT_SECONDS = 30.0
SILENT_SECONDS = 180.0
CLAIM_SECONDS = 1.0
CHECKPOINT_SECONDS = 5.0
PACKAGES = {"s3": "'symbench[cluster]'", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
HOLDER = "launch.holder.json"
# Without these a wrong address is tried for minutes.
IMPATIENT: Mapping[str, Mapping[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 2}}}
}


class RemoteStore(Store):
    """One store. Raises :class:`SymbenchError` where the address cannot be reached or its protocol is not installed."""

    def __init__(self, address: str) -> None:
        self._url = address.rstrip("/")
        self._files, self._folder = _opened(self._url)
        super().__init__(mirror(self._url))
        self._reach(lambda: self._files.exists(f"{self._folder}/records"))

    @property
    def address(self) -> str:
        return self._url

    def exists(self) -> bool:
        """Whether anything was ever written there."""
        return bool(self._reach(lambda: self._files.exists(f"{self._folder}/launches")))

    def has_launch(self, launch_id: str) -> bool:
        return bool(self._reach(lambda: self._files.exists(f"{self._folder}/launches/{launch_id}.json")))

    def try_writing(self) -> None:
        super().try_writing()
        probe = f"{self._folder}/launches/.{secrets.token_hex(8)}.tmp"
        self._reach(lambda: self._files.pipe_file(probe, b"-"))
        self._reach(lambda: self._files.rm_file(probe))

    def refresh(self) -> None:
        for name in ("records", "launches"):
            self._pull(name)

    def statuses(self) -> dict[str, Status]:
        self._pull("records")
        return super().statuses()

    def write(self, record: Record, history: Sequence[HistoryRow]) -> None:
        super().write(record, history)
        digest, status = record.digest, record.status
        if status == "failed" and self.record_path(digest, "succeeded").exists():
            return
        self._push(self.log_path(digest))
        self._push(self.history_path(digest, status))
        self._push(self.record_path(digest, status))
        if status == "succeeded":
            self._remove(self.record_path(digest, "failed"))
            self._remove(self.history_path(digest, "failed"))

    def write_launch(self, launch_id: str, values: Mapping[str, Any]) -> None:
        super().write_launch(launch_id, values)
        self._push(self.root / "launches" / f"{launch_id}.json")

    @contextlib.contextmanager
    def checkpoint(self, digest: str) -> Iterator[Path]:
        """As a local one's; meanwhile each new state is sent to the address, from a thread of its own."""
        with super().checkpoint(digest) as path:
            self._fetch(path)
            ended = threading.Event()
            known = path.stat().st_mtime_ns if path.exists() else None
            sender = threading.Thread(target=self._send_states, args=(path, known, ended), daemon=True)
            sender.start()
            try:
                yield path
            finally:
                ended.set()
                sender.join()

    def discard_checkpoint(self, digest: str) -> None:
        super().discard_checkpoint(digest)
        self._remove(self.checkpoint_path(digest))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held by one launch of all machines; it tells that it is alive, and one that has fallen silent loses it."""
        since, ended = datetime.now(UTC).isoformat(timespec="seconds"), threading.Event()
        mine = {"id": secrets.token_hex(8), "pid": os.getpid(), "host": socket.gethostname(), "since": since}
        with super().lock():
            self._refuse_if_held()
            self._claim(mine)
            beat = threading.Thread(target=self._beat, args=(mine, ended), daemon=True)
            beat.start()
            try:
                yield
            finally:
                ended.set()
                beat.join()
                self._remove(self.root / HOLDER)

    def _load(self, digest: str, status: Status) -> Record | None:
        path = self.record_path(digest, status)
        if not path.exists():
            self._fetch(path)
        return super()._load(digest, status)

    def _history_file(self, digest: str, status: Status) -> Path:
        path = super()._history_file(digest, status)
        if not path.exists():
            self._fetch(path)
        return path

    # Objects

    def _remote(self, path: Path) -> str:
        return f"{self._folder}/{path.relative_to(self.root).as_posix()}"

    def _push(self, path: Path) -> None:
        if path.exists():
            self._reach(lambda: self._files.put_file(str(path), self._remote(path)))

    def _remove(self, path: Path) -> None:
        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(self._remote(path))

        self._reach(remove)

    def _fetch(self, path: Path) -> bool:
        """Brings one object in one step; false where there is none."""

        def fetch() -> bool:
            with tempfile.TemporaryDirectory(dir=self.root) as folder:
                copy = Path(folder) / path.name
                try:
                    self._files.get_file(self._remote(path), str(copy))
                except FileNotFoundError:
                    return False
                os.replace(copy, path)
                return True

        return self._reach(fetch)

    def _pull(self, name: str) -> None:
        """Brings the objects of a folder that are not here or may have changed, and drops what has long gone there."""

        def pull() -> None:
            found: Sequence[str] = ()
            with contextlib.suppress(FileNotFoundError):
                found = self._files.ls(f"{self._folder}/{name}", detail=False)
            names = {one.rstrip("/").rpartition("/")[2] for one in found}
            for path in (self.root / name).glob("*.json"):
                with contextlib.suppress(FileNotFoundError):
                    # A young one may be on its way there from another process of this machine.
                    if path.name not in names and time.time() - path.stat().st_mtime > STALE_SECONDS:
                        path.unlink()
            missing = sorted(one for one in names if one.endswith(".json") and _lacks(self.root / name / one))
            if not missing:
                return
            with tempfile.TemporaryDirectory(dir=self.root) as folder:
                copies = [Path(folder) / one for one in missing]
                self._files.get([f"{self._folder}/{name}/{one}" for one in missing], [str(copy) for copy in copies])
                for copy in copies:
                    os.replace(copy, self.root / name / copy.name)

        self._reach(pull)

    def _reach(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except SymbenchError:
            raise
        except Exception as error:  # each protocol has its own kinds
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SymbenchError(
                f"The store {self._url} cannot be used ({line}): check its address, its credentials and the network."
            ) from error

    def _send_states(self, path: Path, sent: int | None, ended: threading.Event) -> None:
        over = False
        while not over:
            over = ended.wait(CHECKPOINT_SECONDS)
            with contextlib.suppress(FileNotFoundError, SymbenchError):  # the next state may get through
                if (changed := path.stat().st_mtime_ns) != sent:
                    self._push(path)
                    sent = changed

    # The lock

    def _refuse_if_held(self) -> None:
        holder = self._holder()
        if holder is not None and not self._is_gone(holder):
            raise self._held(holder)

    def _held(self, holder: Mapping[str, Any]) -> SymbenchError:
        return SymbenchError(
            f"Another launch (pid {holder['pid']} on {holder['host']}, since {holder['since']}) is using the store "
            f"{self._url}: wait for it (or {SILENT_SECONDS:.0f} s, if it was killed) or choose another --store."
        )

    def _holder(self) -> Mapping[str, Any] | None:
        def read() -> Mapping[str, Any] | None:
            try:
                values: Mapping[str, Any] = json.loads(self._files.cat_file(self._remote(self.root / HOLDER)))
            except (FileNotFoundError, ValueError):
                return None
            return values if values.keys() >= {"id", "pid", "host", "since", "alive"} else None

        return self._reach(read)

    @staticmethod
    def _is_gone(holder: Mapping[str, Any]) -> bool:
        if holder["host"] == socket.gethostname() and not psutil.pid_exists(holder["pid"]):
            return True
        return time.time() - holder["alive"] > SILENT_SECONDS

    def _claim(self, mine: Mapping[str, Any]) -> None:
        """Of two that claim at once the later one has it: each looks again before it goes on."""
        self._tell_alive(mine)
        time.sleep(CLAIM_SECONDS)
        holder = self._holder()
        if holder is not None and holder["id"] != mine["id"]:
            raise self._held(holder)

    def _tell_alive(self, mine: Mapping[str, Any]) -> None:
        body = json.dumps({**mine, "alive": time.time()}).encode()
        self._reach(lambda: self._files.pipe_file(self._remote(self.root / HOLDER), body))

    def _beat(self, mine: Mapping[str, Any], ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(SymbenchError):  # the next beat may get through
                self._tell_alive(mine)


def _lacks(path: Path) -> bool:
    """Whether a file is not here, or is the account of a launch that still went on: such an account changes."""
    if path.parent.name != "launches":
        return not path.exists()
    try:
        return bool(json.loads(path.read_bytes()).get("status") == "running")
    except (FileNotFoundError, ValueError):
        return True


def _opened(url: str) -> tuple[Any, str]:
    """The file system behind ``url``, and the folder in it."""
    protocol = url.partition("://")[0]
    try:
        return fsspec.core.url_to_fs(
            url, use_listings_cache=False, skip_instance_cache=True, **IMPATIENT.get(protocol, {})
        )
    except ImportError as error:
        package = PACKAGES.get(protocol, f"what fsspec needs for {protocol}:// ({error})")
        raise SymbenchError(f"--store {url} needs a package that is not installed: install {package}.") from error
    except ValueError as error:
        raise SymbenchError(f"--store {url}: no store can be opened there ({error}).") from error


def mirror(url: str) -> Path:
    """The folder on this machine that mirrors the store at ``url``."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", url).strip("-")[:60]
    return home / "symbench" / "stores" / f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:8]}" / "store"
