"""Files that survive a crash or a power cut: synced to disk, then moved into place in one step, and the folder synced.

Pure Python, below data sets, checkpoints and records: everything that is written in one step is written here.
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
"""Matches what a killed writer leaves beside the place of its file."""


def publish(files: Mapping[Path, bytes]) -> None:
    """Writes every file beside its place, then moves them there in the given order: before that nothing is seen.

    Raises ``OSError`` where one cannot be written; then no temporary file is left.
    """
    staged = {path: temporary(path) for path in files}
    try:
        for path, body in files.items():
            write_new(staged[path], body)
        for path, source in staged.items():
            move(source, path)
    finally:
        for source in staged.values():
            source.unlink(missing_ok=True)


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yields a place beside ``path`` for a new file or folder, which is synced and moved to ``path`` at the end.

    If the block raises, what it wrote is removed and ``path`` stays as it was. A folder needs a ``path`` that does not
    exist or is an empty folder.
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
    """Writes and syncs a file that is not there yet; its name is safe once its folder is synced.

    Raises ``FileExistsError`` where it is there, and ``OSError`` where it cannot be written.
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
    """Moves a synced file, or a folder to where there is none, within one file system, and syncs the folder above."""
    os.replace(source, target)
    sync(target.parent)


def move_unsynced(source: Path, target: Path) -> None:
    """:func:`move` of a file or folder that is not synced yet: it is, with all its contents, before it is moved."""
    for path in sorted(source.rglob("*"), reverse=True):
        sync(path)
    sync(source)
    move(source, target)


def make_folder(path: Path) -> None:
    """Creates a folder and those above it that are missing; each is synced into the one above."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        sync(one.parent)


def sync(path: Path) -> None:
    """Waits until the content of a file, or the names in a folder, are on disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def temporary(path: Path) -> Path:
    """A hidden name of its own beside ``path``."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
