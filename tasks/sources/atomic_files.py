"""Files that survive a crash or a power cut.

A file is written and synced under a temporary name, moved into place in one step, and its folder is synced. Pure
Python, since data sets, checkpoints and records all use it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".*.tmp"
"""Matches the temporary files that a killed writer leaves beside the target."""


def publish(files: Mapping[Path, bytes]) -> None:
    """Writes files atomically: all under temporary names first, then each is moved into place in the given order.

    Args:
        files: The contents by path. All folders exist.

    Raises:
        OSError: A file cannot be written. No temporary file remains.
    """
    sources = {path: temporary(path) for path in files}
    try:
        for path, body in files.items():
            write_new(sources[path], body)
        for path, source in sources.items():
            move(source, path)
    finally:
        for source in sources.values():
            source.unlink(missing_ok=True)


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yields a temporary path for a new file or folder, which is synced and moved to ``path`` when the block ends.

    If the block raises, what it wrote is removed and ``path`` does not change. A folder can only be moved to a ``path``
    that does not exist.
    """
    source = temporary(path)
    try:
        yield source
        move_unsynced(source, path)
    finally:
        if source.is_dir():
            shutil.rmtree(source, ignore_errors=True)
        else:
            source.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Like :func:`staged`, with the new file open for writing."""
    with staged(path) as source, source.open("xb") as file:
        yield file


def write_new(path: Path, body: bytes) -> None:
    """Creates, writes and syncs a file. Its name is only on disk once its folder is synced.

    Raises:
        FileExistsError: The file exists.
        OSError: It cannot be written.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        view = memoryview(body)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
    finally:
        os.close(file)


def move(source: Path, target: Path) -> None:
    """Moves a synced file or folder within one file system and syncs the folder of the target.

    A file replaces the target; a folder needs a target that does not exist.
    """
    os.replace(source, target)
    sync(target.parent)


def move_unsynced(source: Path, target: Path) -> None:
    """Syncs a file, or everything in a folder, then moves it like :func:`move`."""
    for path in sorted(source.rglob("*"), reverse=True):
        sync(path)
    sync(source)
    move(source, target)


def make_folder(path: Path) -> None:
    """Creates a folder and its missing parents, and syncs the parent of each."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        sync(one.parent)


def sync(path: Path) -> None:
    """Waits until the content of a file, or the list of names of a folder, is on disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def temporary(path: Path) -> Path:
    """A unique hidden name in the folder of ``path``."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
