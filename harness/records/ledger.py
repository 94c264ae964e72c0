"""The differences between the folder of a remote store (here) and its address (there).

The ledger names the files that were written here and not yet sent, and the files that are copies of other machines'
work. Only copies may be deleted here when they are missing there. It is kept as small files in the folder itself, so
that it is as durable as the store.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from tasks.sources.atomic_files import make_folder, publish

UNSENT, COPIES = "unsent", "copies"


class Ledger:
    """The ledger of the store whose folder is ``root``.

    Raises:
        OSError: The folder cannot be written; raised by all methods.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._unsent, self._copies = root, root / UNSENT, root / COPIES
        for folder in (self._unsent, self._copies):
            make_folder(folder)

    def mark(self, path: Path) -> list[Path]:
        """Marks ``path`` as unsent, durably and before it changes. Returns the new mark."""
        mark = self._unsent / f"{self._name(path)}~{uuid.uuid4().hex[:8]}"
        publish({mark: b""})
        self._copy(path).unlink(missing_ok=True)
        return [mark]

    def renew(self, path: Path) -> None:
        """Replaces all marks of ``path`` by a new one.

        Another process may have cleared older marks before the change was made.
        """
        before = self.unsent().get(path, ())
        self.mark(path)
        self.clear(before)

    def unsent(self) -> dict[Path, list[Path]]:
        """The marks of all unsent paths. Every change has a mark of its own."""
        found: dict[Path, list[Path]] = {}
        for mark in sorted(self._unsent.glob("[!.]*~*")):
            found.setdefault(self._root / unquote(mark.name.rpartition("~")[0]), []).append(mark)
        return found

    @staticmethod
    def clear(marks: Iterable[Path]) -> None:
        """Removes marks once their change was sent."""
        for mark in marks:
            mark.unlink(missing_ok=True)

    def add_copy(self, path: Path) -> None:
        """Notes that ``path`` is a copy of another machine's file; called before the copy is made."""
        self._copy(path).touch()

    def copies(self, folder: Path) -> Iterator[Path]:
        """The copies in a folder of the store."""
        prefix = quote(f"{folder.relative_to(self._root).as_posix()}/", safe="")
        for copy in self._copies.glob(f"{prefix}*"):
            yield self._root / unquote(copy.name)

    def drop_copy(self, path: Path) -> None:
        """Deletes a copy and its note."""
        path.unlink(missing_ok=True)
        self._copy(path).unlink(missing_ok=True)

    def note_level(self, path: Path, state: str) -> None:
        """Notes that ``path`` in this :meth:`state` was sent or received."""
        self._copy(path).write_text(state, encoding="utf-8")

    def is_ahead(self, path: Path) -> bool:
        """Returns True if ``path`` exists in a state that may not be at the address."""
        if not path.exists():
            return False
        noted = self._copy(path)
        return not noted.exists() or noted.read_text(encoding="utf-8") != self.state(path)

    @staticmethod
    def state(path: Path) -> str:
        """A text that differs whenever the file is replaced."""
        found = path.stat()
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"

    def _copy(self, path: Path) -> Path:
        return self._copies / self._name(path)

    def _name(self, path: Path) -> str:
        return quote(path.relative_to(self._root).as_posix(), safe="")
