"""The segments of a store: files with the records of many runs, and which record of a run counts.

The name of a segment begins with a number that increases with every segment. Of several records of a run, a success
counts before a failure, and a later segment before an earlier one. A single file in ``records`` is later than any
segment.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from uuid import uuid4

from harness.records.record import Status

if TYPE_CHECKING:
    import polars as pl

    from harness.records.segment_file import Kept, SegmentFile

T = TypeVar("T")
ENDING = ".parquet"
_TRIES = 5


class Place(NamedTuple):
    """The segment of a record and its row in it."""

    segment: str
    row: int


class _Index:
    """The index of a set of segments: one row for each digest and status, sorted by them."""

    def __init__(self, folder: Path, names: frozenset[str]) -> None:
        import polars as pl

        from harness.records.segment_file import SegmentFile

        self.names = names
        self.files: dict[str, SegmentFile] = {name: SegmentFile(folder / name) for name in sorted(names)}
        parts = [
            file.index().with_row_index("row").with_columns(pl.lit(name).alias("segment"))
            for name, file in self.files.items()
        ]
        self.all = pl.concat(parts)
        self.counting = self.all.unique(["digest", "status"], keep="last", maintain_order=True).sort("digest", "status")
        self.digests: list[str] = self.counting["digest"].to_list()

    def place(self, digest: str, status: Status) -> Place | None:
        first = bisect_left(self.digests, digest)
        for row in self.counting[first : first + 2].iter_rows(named=True):
            if (row["digest"], row["status"]) == (digest, status):
                return Place(row["segment"], row["row"])
        return None


class Segments:
    """The segments in a folder. Every call sees the current content of the folder.

    Args:
        folder: The folder of the segments; it need not exist.

    Raises:
        SymbenchError: A segment is damaged. Raised by all methods that read one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index: _Index | None = None

    def names(self) -> frozenset[str]:
        """The names of all segments; empty if the folder does not exist, as in stores of older versions."""
        try:
            return frozenset(name for name in os.listdir(self.folder) if is_segment(name))
        except FileNotFoundError:
            return frozenset()

    def new_path(self) -> Path:
        """The path for a new segment, with a number above all others."""
        latest = max((int(name.partition("-")[0]) for name in self.names()), default=0)
        return self.folder / f"{latest + 1:08d}-{uuid4().hex[:8]}{ENDING}"

    def statuses(self) -> dict[str, Status]:
        """The status of every run that has a record in a segment, by digest."""

        def read(index: _Index) -> dict[str, Status]:
            # Sorted by digest and status: a success overwrites a failure.
            return dict(zip(index.digests, index.counting["status"].to_list(), strict=True))

        return self._with_index(read) or {}

    def find(self, digest: str, status: Status) -> str | None:
        """Returns the JSON of a record, or None if no segment has it."""

        def read(index: _Index) -> str | None:
            place = index.place(digest, status)
            return None if place is None else index.files[place.segment].body(place.row)

        return self._with_index(read)

    def has(self, digest: str, status: Status) -> bool:
        """Returns True if a segment has a record of this run with this status."""
        return bool(self._with_index(lambda index: index.place(digest, status) is not None))

    def history(self, digest: str, status: Status) -> pl.DataFrame | None:
        """Returns the history of a run, or None if no segment has a record of it with this status."""

        def read(index: _Index) -> pl.DataFrame | None:
            place = index.place(digest, status)
            return None if place is None else self._history(index.files[place.segment], digest, status)

        return self._with_index(read)

    def counting(self) -> pl.DataFrame | None:
        """The records that count, one for each digest and status and sorted by them; None if there are no segments.

        The columns are ``digest``, ``status``, ``finished``, ``segment`` and ``row``.
        """
        return self._with_index(lambda index: index.counting)

    def bodies(self, segment: str, rows: Iterable[int]) -> Iterator[str]:
        """The JSON of some records of a segment. Ascending ``rows`` are read fastest."""
        from harness.records.segment_file import SegmentFile

        return map(SegmentFile(self.folder / segment).body, rows)

    def all_bodies(self, segment: str) -> Iterator[str]:
        """The JSON of every record of a segment in order, including those that do not count."""
        from harness.records.segment_file import SegmentFile

        file = SegmentFile(self.folder / segment)
        return (body for group in range(file.groups()) for body in file.bodies(group))

    def runs(self, segment: str, rows: pl.DataFrame) -> Iterator[Kept]:
        """The runs of a segment that are in ``rows``, which have the columns of :meth:`counting`."""
        from harness.records.segment_file import Kept, SegmentFile

        file = SegmentFile(self.folder / segment)
        for digest, status, finished, row in rows.select("digest", "status", "finished", "row").iter_rows():
            yield Kept(digest, status, finished, file.body(row), self._history(file, digest, status))

    def is_covered(self, segment: str) -> bool:
        """Returns True if other segments have every record of a segment, or one that counts more."""
        import polars as pl

        def read(index: _Index) -> bool:
            others = index.all.filter(pl.col("segment") != segment)
            within = index.all.filter(pl.col("segment") == segment)
            succeeded = others.filter(pl.col("status") == "succeeded")
            left = within.join(others, on=["digest", "status"], how="anti").join(succeeded, on="digest", how="anti")
            return left.is_empty()

        return bool(self._with_index(read))

    def _history(self, file: SegmentFile, digest: str, status: Status) -> pl.DataFrame:
        return file.history(digest, status)

    def _with_index(self, read: Callable[[_Index], T]) -> T | None:
        """Calls ``read`` with the current index; returns None if there are no segments.

        Retries if a segment is removed while it is read: another one has its records then.
        """
        for last in range(_TRIES, -1, -1):
            names = self.names()
            try:
                if not names:
                    return None
                if self._index is None or self._index.names != names:
                    self._index = _Index(self.folder, names)
                return read(self._index)
            except FileNotFoundError:
                self._index = None
                if not last:
                    raise
        return None


def is_segment(name: str) -> bool:
    """Returns True if a file of this name is a segment."""
    number, dash, _ = name.partition("-")
    return bool(dash) and number.isdecimal() and name.endswith(ENDING)
