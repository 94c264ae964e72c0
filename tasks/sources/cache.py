"""The folders in which data files live, and how a missing one is made exactly once.

A file is looked for in `$SYMBENCH_DATA` (it may be a read-only folder, shared by many users) and then in the user's
cache, `$XDG_CACHE_HOME/symbench` or `~/.cache/symbench`. A missing file is built beside its place and moved there in
one step, under a lock: no reader ever sees half of it, and processes that start together build it once.

Arrays are stored as npz without pickles, so that no data file can execute code. A damaged file is reported and not
silently rebuilt: it may be the user's own, and files written here are whole by construction.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.sources.atomic_files import staged

Arrays = dict[str, NDArray[Any]]


class DataError(Exception):
    """Data that is missing, damaged or not what it claims to be; the message is one sentence that says what to do."""


def folders() -> list[Path]:
    """The data folders in the order in which they are searched; none of them need exist."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    chosen = os.environ.get("SYMBENCH_DATA")
    return [*([Path(chosen).expanduser()] if chosen else []), Path(user_cache) / "symbench"]


def find(name: str) -> Path | None:
    """The first file called `name` in the data folders, or None."""
    return next((folder / name for folder in folders() if (folder / name).is_file()), None)


def obtain(name: str, build: Callable[[Path], None]) -> Path:
    """The file called `name`; where it is missing, `build(path)` writes it first.

    Args:
        name: file name. For generated data it names the generator's version (`versioned_name`).
        build: writes the whole file to the path it is given, which is not yet the final one.

    Raises:
        DataError: the file is missing and no data folder can be written, or the disk is full.
    """
    from filelock import FileLock

    if (found := find(name)) is not None:
        return found
    target = _writable_folder() / name
    with FileLock(target.with_name(f".{name}.lock")):
        if (found := find(name)) is not None:  # another process built it while this one waited
            return found
        _build_at(target, build)
    return target


def arrays(name: str, fields: Sequence[str], generate: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
    """The arrays `fields` of the npz file called `name`; where it is missing, `generate()` makes them first.

    Raises:
        DataError: the file is damaged, or is missing and no data folder can be written.
    """
    return load(obtain(name, lambda path: save(path, generate())), fields)


def disk_is_full(error: OSError) -> bool:
    """Does this say that there is no room for a file, on the disk or in a quota?"""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versioned_name(stem: str, version: int, **parameters: int) -> str:
    """The file name of generated data: `versioned_name("nbody", 1, nodes=5)` is `nbody-v1-nodes5.npz`.

    The version is the generator's: raising it whenever the output changes keeps old files from being taken for new
    ones.
    """
    return "-".join([stem, f"v{version}", *(f"{key}{value}" for key, value in parameters.items())]) + ".npz"


def save(path: Path, contents: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays to `path` as a compressed npz file without pickles."""
    with path.open("wb") as file:  # an open file: given a path, NumPy would change its suffix
        np.savez_compressed(file, allow_pickle=False, **contents)


def load(path: Path, fields: Sequence[str]) -> Arrays:
    """Reads the arrays `fields` of an npz file, all of them now, so that damage shows here.

    Raises:
        DataError: the file cannot be read, is truncated, holds pickles or lacks a field.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as contents:
            return {field: contents[field] for field in fields}
    except Exception as error:  # what damage raises depends on the byte: zip, zlib, header and size errors among others
        raise DataError(f"{path} is damaged or unreadable ({error}); delete it, and it is made again.") from error


def _writable_folder() -> Path:
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):  # permission bits alone do not tell: a mount may be read-only
                return folder
        except OSError:
            continue
    tried = " nor ".join(str(folder) for folder in folders())
    raise DataError(f"Data cannot be stored in {tried}; set SYMBENCH_DATA to a folder that can be written.")


def _build_at(target: Path, build: Callable[[Path], None]) -> None:
    try:
        with staged(target) as place:
            build(place)
    except OSError as error:
        raise DataError(
            f"{target} cannot be written ({error.strerror or error}): make room there, or set SYMBENCH_DATA to another "
            "folder."
        ) from error
