"""The folders of data files; a missing file is built exactly once.

A file is searched in `$SYMBENCH_DATA` (which may be read-only and shared by many users) and then in the user's cache,
`$XDG_CACHE_HOME/symbench` or `~/.cache/symbench`. A missing file is built under a temporary name and moved into place
atomically, under a lock, so that readers never see a part of it and processes that start together build it once.

Arrays are stored as npz without pickles, so that no data file can execute code. A damaged file is an error and is not
rebuilt, since it may be the user's own.
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

from tasks.errors import DataError
from tasks.sources.atomic_files import staged

Arrays = dict[str, NDArray[Any]]


def folders() -> list[Path]:
    """The data folders in the order in which they are searched; none of them need exist."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    chosen = os.environ.get("SYMBENCH_DATA")
    return [*([Path(chosen).expanduser()] if chosen else []), Path(user_cache) / "symbench"]


def find(name: str) -> Path | None:
    """The first file called `name` in the data folders, or None."""
    return next((folder / name for folder in folders() if (folder / name).is_file()), None)


def obtain(name: str, build: Callable[[Path], None]) -> Path:
    """Returns the file called `name`, which is built first if it is missing.

    Args:
        name: The name of the file. For generated data it contains the generator's version (`versioned_name`).
        build: Writes the whole file to a path, which is a temporary one.

    Raises:
        DataError: The file is missing and no data folder can be written, or the disk is full.
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
    """Returns arrays of the npz file called `name`, which is generated first if it is missing.

    Args:
        name: The name of the file.
        fields: The names of the arrays.
        generate: Returns the arrays by name.

    Raises:
        DataError: The file is damaged, or is missing and no data folder can be written.
    """
    return load(obtain(name, lambda path: save(path, generate())), fields)


def disk_is_full(error: OSError) -> bool:
    """Returns True if an error means that the disk or a quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versioned_name(stem: str, version: int, **parameters: int) -> str:
    """The file name of generated data: `versioned_name("nbody", 1, nodes=5)` is `nbody-v1-nodes5.npz`.

    The version is that of the generator. It is raised whenever the output changes, so that old files are not used.
    """
    return "-".join([stem, f"v{version}", *(f"{key}{value}" for key, value in parameters.items())]) + ".npz"


def save(path: Path, contents: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays to `path` as a compressed npz file without pickles."""
    with path.open("wb") as file:  # NumPy would change the suffix of a path
        np.savez_compressed(file, allow_pickle=False, **contents)


def load(path: Path, fields: Sequence[str]) -> Arrays:
    """Reads the arrays `fields` of an npz file completely, so that damage is found here.

    Raises:
        DataError: The file cannot be read, is truncated, contains pickles or lacks a field.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as contents:
            return {field: contents[field] for field in fields}
    except Exception as error:  # damage raises zip, zlib, header, size and other errors
        raise DataError(f"{path} is damaged or unreadable ({error}); delete it, and it is built again.") from error


def _writable_folder() -> Path:
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):  # permission bits are not enough: a mount may be read-only
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
