"""What of a store's folder is not level with its address: files written here that have yet to go there, and copies of
what others wrote, which alone may be dropped when they have gone there.

It is a folder of empty files in the store, so that it survives what the store survives.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from tasks.sources.atomic_files import make_folder, publish

UNSENT, COPIES = "unsent", "copies"


class Ledger:
    """That of the store at ``root``. Its methods raise ``OSError`` where the folder cannot be written."""

    def __init__(self, root: Path) -> None:
        self._root, self._unsent, self._copies = root, root / UNSENT, root / COPIES
        for folder in (self._unsent, self._copies):
            make_folder(folder)

    def mark(self, path: Path) -> list[Path]:
        """Says, for good, that ``path`` is about to change here and is not there yet. Returns its own mark."""
        mark = self._unsent / f"{self._name(path)}~{uuid.uuid4().hex[:8]}"
        publish({mark: b""})
        self._copy(path).unlink(missing_ok=True)
        return [mark]

    def renew(self, path: Path) -> None:
        """One mark in place of all that ``path`` has or had: another process may have ended those that it saw before
        the change was made."""
        before = self.unsent().get(path, ())
        self.mark(path)
        self.clear(before)

    def unsent(self) -> dict[Path, list[Path]]:
        """The marks of each path that has any. A change made later has another mark."""
        found: dict[Path, list[Path]] = {}
        for mark in sorted(self._unsent.glob("[!.]*~*")):
            found.setdefault(self._root / unquote(mark.name.rpartition("~")[0]), []).append(mark)
        return found

    @staticmethod
    def clear(marks: Iterable[Path]) -> None:
        """Once what they stood for is there."""
        for mark in marks:
            mark.unlink(missing_ok=True)

    def add_copy(self, path: Path) -> None:
        """Before a copy of what another machine wrote is put there."""
        self._copy(path).touch()

    def copies(self, folder: Path) -> Iterator[Path]:
        prefix = quote(f"{folder.relative_to(self._root).as_posix()}/", safe="")
        for copy in self._copies.glob(f"{prefix}*"):
            yield self._root / unquote(copy.name)

    def drop_copy(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._copy(path).unlink(missing_ok=True)

    def note_level(self, path: Path, state: str) -> None:
        """``path`` was there in this :meth:`state`."""
        self._copy(path).write_text(state, encoding="utf-8")

    def is_ahead(self, path: Path) -> bool:
        """Whether ``path`` is here in a state that may not be there."""
        if not path.exists():
            return False
        noted = self._copy(path)
        return not noted.exists() or noted.read_text(encoding="utf-8") != self.state(path)

    @staticmethod
    def state(path: Path) -> str:
        """Another one each time that the file is replaced."""
        found = path.stat()
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"

    def _copy(self, path: Path) -> Path:
        return self._copies / self._name(path)

    def _name(self, path: Path) -> str:
        return quote(path.relative_to(self._root).as_posix(), safe="")
