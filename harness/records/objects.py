"""Objects at an address (``s3://bucket/folder``), through fsspec: put, get, list, delete, create."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractFileSystem

from harness.errors import MissingExtra, StoreError, SymbenchError
from harness.utils.text import first_line
from tasks.extras import sentence
from tasks.sources.atomic_files import staged

T = TypeVar("T")

PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
# Without these options a wrong address is tried for minutes.
IMPATIENT: Mapping[str, Mapping[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 2}}}
}


class Objects:
    """Objects by their names below an address.

    Args:
        url: The address, with a protocol that fsspec knows.

    Raises:
        SymbenchError: The address cannot be reached (raised by all methods), or the package for its protocol is not
            installed (raised by the constructor).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, self._folder = _opened(url)

    def exists(self, name: str) -> bool:
        """Returns True if there is an object or a folder of this name."""
        return bool(self._reach(lambda: self._files.exists(self._at(name))))

    def names(self, folder: str) -> set[str]:
        """The names of the objects and folders in a folder, without its path; empty if there is no such folder."""

        def listed() -> set[str]:
            with contextlib.suppress(FileNotFoundError):
                found = self._files.ls(self._at(folder), detail=False)
                return {one.rstrip("/").rpartition("/")[2] for one in found} - {""}
            return set()

        return self._reach(listed)

    def read(self, name: str) -> bytes | None:
        """Returns the content of an object, or None if there is none."""

        def read() -> bytes | None:
            with contextlib.suppress(FileNotFoundError):
                return bytes(self._files.cat_file(self._at(name)))
            return None

        return self._reach(read)

    def write(self, name: str, body: bytes) -> None:
        """Writes an object and replaces one that exists."""
        self._reach(lambda: self._files.pipe_file(self._at(name), body))

    def create(self, name: str, body: bytes) -> bool:
        """Creates an object, in one step if the object store can do that. Returns False if it exists already."""

        def create() -> bool:
            try:
                self._files.pipe_file(self._at(name), body, mode="create")
            except FileExistsError:
                return False
            except (NotImplementedError, TypeError, OSError) as error:
                if isinstance(error, OSError) and error.errno != errno.ENOSYS:
                    raise
                if self._files.exists(self._at(name)):  # this store cannot check and write in one step
                    return False
                self._files.pipe_file(self._at(name), body)
            return True

        return self._reach(create)

    def refuses_a_second(self, name: str, body: bytes) -> bool:
        """Returns True if the object store itself refuses to create an object that exists.

        If it does not refuse, ``body``, the content of the object, is written again.
        """
        default = type(self._files).pipe_file is AbstractFileSystem.pipe_file  # which checks, and then writes
        own = not default or isinstance(self._files, AsyncFileSystem)
        return not self.create(name, body) and own

    def put(self, path: Path, name: str) -> None:
        """Copies a file to the object ``name``."""
        self._reach(lambda: self._files.put_file(str(path), self._at(name)))

    def get(self, name: str, path: Path) -> bool:
        """Copies an object to ``path`` atomically. Returns False if there is no such object."""

        def get() -> bool:
            try:
                with staged(path) as copy:
                    self._files.get_file(self._at(name), str(copy))
            except FileNotFoundError:
                return False
            return True

        return self._reach(get)

    def get_all(self, folder: str, names: Iterable[str], target: Path, arriving: Callable[[str], object] = str) -> None:
        """Copies many objects of one folder at once.

        Objects that are deleted meanwhile are left out; the others are then copied one by one.

        Args:
            folder: The folder of the objects.
            names: Their names in it.
            target: The folder to copy to.
            arriving: Called with the name of each object just before it is in place.
        """
        wanted = sorted(names)

        def get() -> None:
            with tempfile.TemporaryDirectory(dir=target, prefix=".", suffix=".tmp") as staging:
                copies = [Path(staging) / name for name in wanted]
                self._files.get([self._at(f"{folder}/{name}") for name in wanted], [str(copy) for copy in copies])
                for copy in copies:
                    arriving(copy.name)
                    os.replace(copy, target / copy.name)

        try:
            if wanted:
                self._reach(get, passed=FileNotFoundError)
        except FileNotFoundError:
            for name in wanted:
                arriving(name)
                self.get(f"{folder}/{name}", target / name)

    def remove(self, name: str) -> None:
        """Removes an object if it exists."""

        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(self._at(name))

        self._reach(remove)

    def remove_all(self, names: Sequence[str]) -> None:
        """Removes the objects that exist, in any order, many at once if the object store can do that."""
        try:
            if names:
                self._reach(lambda: self._files.rm([self._at(name) for name in names]), passed=FileNotFoundError)
        except FileNotFoundError:
            for name in names:
                self.remove(name)

    def _at(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _reach(self, action: Callable[[], T], passed: type[Exception] | tuple[type[Exception], ...] = ()) -> T:
        """Calls ``action``; turns its errors, except those of kind ``passed``, into a SymbenchError."""
        try:
            return action()
        except passed:
            raise
        except Exception as error:  # each protocol raises errors of its own
            raise StoreError(
                f"The store {self.url} cannot be used ({first_line(error)}): check its address, its credentials and "
                "the network."
            ) from error


def patiently(action: Callable[[], T], waits: Iterable[float]) -> T:
    """Calls ``action`` and retries it after SymbenchErrors.

    Args:
        action: Called without arguments.
        waits: Seconds before each retry.

    Returns:
        The result of the first call that succeeds.

    Raises:
        SymbenchError: The last call failed.
    """
    for seconds in waits:
        try:
            return action()
        except SymbenchError:
            time.sleep(seconds)
    return action()


def _opened(url: str) -> tuple[Any, str]:
    """The file system of ``url`` and the folder in it."""
    protocol = url.partition("://")[0]
    try:
        files, folder = fsspec.core.url_to_fs(
            url, use_listings_cache=False, skip_instance_cache=True, **IMPATIENT.get(protocol, {})
        )
    except ImportError as error:
        if protocol == "s3":
            raise MissingExtra(sentence(f"--store {url}", "cluster")) from error
        package = PACKAGES.get(protocol, f"what fsspec needs for {protocol}:// ({error})")
        raise MissingExtra(f"--store {url} needs a package that is not installed: install {package}.") from error
    except ValueError as error:
        raise StoreError(f"--store {url}: no store can be opened there ({error}).") from error
    return files, folder.rstrip("/")
