"""Records that were taken together into segments, as they lie in one folder: which there are, and which one counts.

The name of a segment begins with a number that is higher the later it was made. Of two records of a run the one that
succeeded counts, then that of the later segment; a file of its own in ``records`` is later than any segment.
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
    """Where a record lies."""

    segment: str
    row: int


class _Index:
    """What a set of segments holds: one row for each digest and status, sorted by them."""

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
    """Those in ``folder``. What changes there meanwhile is seen by the next call.

    Methods raise :class:`~harness.errors.SymbenchError` where a segment is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index: _Index | None = None

    def names(self) -> frozenset[str]:
        """None where the folder is not there, as in stores from before there were segments."""
        try:
            return frozenset(name for name in os.listdir(self.folder) if is_segment(name))
        except FileNotFoundError:
            return frozenset()

    def new_path(self) -> Path:
        """For a segment that is later than all there are."""
        latest = max((int(name.partition("-")[0]) for name in self.names()), default=0)
        return self.folder / f"{latest + 1:08d}-{uuid4().hex[:8]}{ENDING}"

    def statuses(self) -> dict[str, Status]:
        def read(index: _Index) -> dict[str, Status]:
            # By digest and then status: a success comes after a failure.
            return dict(zip(index.digests, index.counting["status"].to_list(), strict=True))

        return self._with_index(read) or {}

    def find(self, digest: str, status: Status) -> str | None:
        """The JSON of a record."""

        def read(index: _Index) -> str | None:
            place = index.place(digest, status)
            return None if place is None else index.files[place.segment].body(place.row)

        return self._with_index(read)

    def has(self, digest: str, status: Status) -> bool:
        return bool(self._with_index(lambda index: index.place(digest, status) is not None))

    def history(self, digest: str, status: Status) -> pl.DataFrame | None:
        """``None`` where no segment has a record of this run that ended so."""

        def read(index: _Index) -> pl.DataFrame | None:
            place = index.place(digest, status)
            return None if place is None else self._told(index.files[place.segment], digest, status)

        return self._with_index(read)

    def counting(self) -> pl.DataFrame | None:
        """``digest``, ``status``, ``finished``, ``segment`` and ``row`` of each digest and status, by them."""
        return self._with_index(lambda index: index.counting)

    def bodies(self, segment: str, rows: Iterable[int]) -> Iterator[str]:
        """The JSON of those records of a segment, quickly where ``rows`` rise."""
        from harness.records.segment_file import SegmentFile

        return map(SegmentFile(self.folder / segment).body, rows)

    def all_bodies(self, segment: str) -> Iterator[str]:
        """The JSON of every record of a segment, also of those that do not count, in their order."""
        from harness.records.segment_file import SegmentFile

        file = SegmentFile(self.folder / segment)
        return (body for group in range(file.groups()) for body in file.bodies(group))

    def runs(self, segment: str, rows: pl.DataFrame) -> Iterator[Kept]:
        """Those of a segment that are in ``rows``, as :meth:`counting` gives them."""
        from harness.records.segment_file import Kept, SegmentFile

        file = SegmentFile(self.folder / segment)
        for digest, status, finished, row in rows.select("digest", "status", "finished", "row").iter_rows():
            yield Kept(digest, status, finished, file.body(row), self._told(file, digest, status))

    def is_covered(self, segment: str) -> bool:
        """Whether every record of a segment is in another one too, or one that counts more."""
        import polars as pl

        def read(index: _Index) -> bool:
            others = index.all.filter(pl.col("segment") != segment)
            within = index.all.filter(pl.col("segment") == segment)
            succeeded = others.filter(pl.col("status") == "succeeded")
            left = within.join(others, on=["digest", "status"], how="anti").join(succeeded, on="digest", how="anti")
            return left.is_empty()

        return bool(self._with_index(read))

    def _told(self, file: SegmentFile, digest: str, status: Status) -> pl.DataFrame:
        return file.history(digest, status)

    def _with_index(self, read: Callable[[_Index], T]) -> T | None:
        """What ``read`` gives of the segments that there are; ``None`` where there are none.

        A segment may go while it is read: another one holds its records then.
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
    number, dash, _ = name.partition("-")
    return bool(dash) and number.isdecimal() and name.endswith(ENDING)
