"""Stores behind an address as several machines see them, on a real S3 server or in memory, and puts that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from harness.records import compaction, lease, remote
from harness.records.opening import open_store
from harness.records.remote import RemoteStore
from tests.object_store import serving

BUCKET = "benchmarks"
URL = f"s3://{BUCKET}/team/store"
Machine = Callable[[str], RemoteStore]


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, str]]:
    with serving() as environment:
        yield environment


@pytest.fixture
def bucket(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.mkdir(BUCKET)
    yield
    files.rm(BUCKET, recursive=True)


@pytest.fixture
def machine(bucket: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """The store on the server as machines of different names see it: each has a folder of its own."""
    return _seen_at(URL, monkeypatch, tmp_path)


@pytest.fixture
def nearby(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    """As ``machine``, with objects in the memory of this process: quick."""
    url = f"memory://{uuid4().hex}/store"
    yield _seen_at(url, monkeypatch, tmp_path)
    with suppress(FileNotFoundError):
        fsspec.filesystem("memory").rm(url.partition("://")[2].partition("/")[0], recursive=True)


def _seen_at(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Machine:
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0))

    def seen_from(name: str) -> RemoteStore:
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / name))
        store = open_store(url)
        assert isinstance(store, RemoteStore)
        return store

    return seen_from


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks by tenths of a second."""
    for name, seconds in {"HEARTBEAT": 0.2, "SILENT": 2.0, "POLL": 0.05, "CLAIM": 0.1}.items():
        monkeypatch.setattr(lease, f"{name}_SECONDS", seconds)


def objects(store: RemoteStore) -> set[str]:
    """The names of all that is at the address."""
    files, folder = store._objects._files, store._objects._folder
    return {one.lstrip("/").removeprefix(f"{folder.lstrip('/')}/") for one in files.find(folder)}


class Broken:
    """While it is entered, changing objects that have ``word`` in their names fails: after ``after`` changes that work,
    and ``times`` times."""

    def __init__(self, store: RemoteStore, word: str = "", after: int = 0, times: int = 10**9) -> None:
        self._files: Any = store._objects._files
        self._word, self._after, self._times = word, after, times

    def __enter__(self) -> Broken:
        self._patch = pytest.MonkeyPatch()
        for name in ("put_file", "pipe_file", "rm_file"):
            self._patch.setattr(self._files, name, self._failing(getattr(self._files, name)))
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def _failing(self, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **options: Any) -> Any:
            if any(self._word in word for word in words if isinstance(word, str)):
                self._after -= 1
                if self._after < 0 < self._times:
                    self._times -= 1
                    raise OSError("out of order")
            return whole(*words, **options)

        return call


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of three records."""
    monkeypatch.setattr(compaction, "SEGMENT_RECORDS", 3)
