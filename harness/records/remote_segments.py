"""The segments of a remote store.

Segments are downloaded on demand, and the histories of a segment when the first of them is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.records.ledger import Ledger
from harness.records.objects import Objects
from harness.records.record import Status
from harness.records.segments import Segments, is_segment

if TYPE_CHECKING:
    import polars as pl

    from harness.records.segment_file import SegmentFile

_TRIES = 5


class SegmentsElsewhere(Segments):
    """The segments in a folder that is synchronised with an address.

    Args:
        folder: The folder on this machine.
        objects: The objects of the store.
        ledger: The ledger of the store.
    """

    def __init__(self, folder: Path, objects: Objects, ledger: Ledger) -> None:
        super().__init__(folder)
        self._objects, self._ledger, self._place = objects, ledger, folder.name

    def pull(self) -> list[Path]:
        """Downloads new segments and drops those that were removed at the address.

        Copies are dropped, and segments that were written here if other segments have their records.

        Returns:
            Segments that were written here and are missing at the address: the caller sends them again.
        """
        there = self._bring()
        copies, unsent = set(self._ledger.copies(self.folder)), self._ledger.unsent()
        gone = [path for name in sorted(self.names() - there) if (path := self.folder / name) not in unsent]
        for path in copies.intersection(gone):
            self.drop(path)
        written_here = [path for path in gone if path not in copies]
        return [path for path in written_here if not self._drop_covered(path)]

    def send(self, path: Path) -> None:
        """Uploads a segment. The histories go first, since a segment exists once its records do."""
        for one in (self._histories(path), path):
            self._objects.put(one, self._name(one))

    def drop(self, path: Path) -> None:
        """Deletes a segment and its histories on this machine."""
        self._ledger.drop_copy(path)
        self._histories(path).unlink(missing_ok=True)

    def _bring(self) -> frozenset[str]:
        """Downloads missing segments and returns the names at the address.

        A segment that disappears during the download was merged into another one.
        """
        there: frozenset[str] = frozenset()
        for _ in range(_TRIES):
            there = frozenset(filter(is_segment, self._objects.names(self._place)))
            missing = [self.folder / name for name in sorted(there - self.names())]
            if not missing:
                break
            for path in missing:
                self._ledger.add_copy(path)
                if not self._objects.get(self._name(path), path):
                    self._ledger.drop_copy(path)
        return there

    def _drop_covered(self, path: Path) -> bool:
        covered = self.is_covered(path.name)
        if covered:
            self.drop(path)
        return covered

    def _history(self, file: SegmentFile, digest: str, status: Status) -> pl.DataFrame:
        path = self._histories(file.path)
        if not path.exists() and not self._objects.get(self._name(path), path):
            self.pull()  # it was merged into another one
            raise FileNotFoundError(path)
        return super()._history(file, digest, status)

    def _histories(self, path: Path) -> Path:
        from harness.records.segment_file import histories_of

        return histories_of(path)

    def _name(self, path: Path) -> str:
        return f"{self._place}/{path.relative_to(self.folder).as_posix()}"
