"""The rows of the records in segments, for collation. Each record has the name of a file that never changes.

A segment never changes, so its rows are cached beside it, in ``segments/rows``, and its records are parsed once for
each layout of the tables. The cache can be deleted at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from harness.collate.reading import COLUMNS, Unreadable, frame, read_row
from harness.records.layout import SEGMENTS
from harness.records.record_files import FAILED
from harness.records.segments import Segments
from harness.records.store import Store
from tasks.sources.atomic_files import staged

SCHEMA = pl.Schema(
    {"file": pl.String, "file_mtime_ns": pl.Int64, "file_size": pl.Int64, "segment": pl.String, "row": pl.UInt32}
)
LAYOUT = "16"
"""Changes whenever the same records would give other tables, so that old caches are not used."""
_ROWS = pl.Schema(COLUMNS | {"row": pl.UInt32})
_LAYOUT = "symbench.layout"
BATCH = 4096
"""Records that are held as Python values at a time: a hundred thousand would take gigabytes."""


def kept_records(segments: Segments, files: pl.Series) -> pl.DataFrame:
    """The records in segments that count.

    A record does not count if a single file or another segment has a later record of the same run, or a success.

    Args:
        segments: The segments of a store.
        files: The names of the single files of the same store.

    Returns:
        One row for each record, with the columns of :data:`SCHEMA`.
    """
    counting = segments.counting()
    if counting is None:
        return SCHEMA.to_frame()
    name = pl.col("digest") + pl.when(pl.col("status") == "failed").then(pl.lit(FAILED)).otherwise(pl.lit(""))
    named = counting.with_columns(pl.format("records/{}.json", name).alias("own"))
    succeeded = counting.filter(pl.col("status") == "succeeded").select(pl.format("records/{}.json", "digest"))
    better = pl.concat([files, succeeded.to_series()])
    success = pl.format("records/{}.json", "digest")
    counts = ~pl.col("own").is_in(files.implode()) & (
        (pl.col("status") == "succeeded") | ~success.is_in(better.implode())
    )
    return (
        named.filter(counts)
        .select(
            pl.format("{}/{}/{}.json", pl.lit(SEGMENTS), "segment", name).alias("file"),
            pl.lit(0, pl.Int64).alias("file_mtime_ns"),
            pl.lit(0, pl.Int64).alias("file_size"),
            "segment",
            pl.col("row").cast(pl.UInt32),
        )
        .sort("segment", "row")
    )


def keep_rows(store: Store) -> None:
    """Parses the records of new segments, so that the next collation is fast."""
    rows = KeptRows(store.root / SEGMENTS, store.segments, LAYOUT)
    for segment in sorted(store.segments.names()):
        rows.of(segment)
    rows.sweep()


class KeptRows:
    """The cached rows of segments.

    Args:
        folder: The folder of the segments.
        segments: The segments in it.
        layout: The layout of the rows, which are those of :func:`~harness.collate.reading.read_row`.
    """

    def __init__(self, folder: Path, segments: Segments, layout: str) -> None:
        self._folder, self._segments, self._layout = folder / "rows", segments, layout

    def of(self, segment: str) -> pl.DataFrame:
        """All rows of a segment except those of unreadable records; the column ``row`` is the index in the segment.

        Raises:
            FileNotFoundError: The segment was removed.
        """
        found = self._load(segment)
        return self._make(segment) if found is None else found

    def sweep(self) -> None:
        """Deletes the rows of segments that were removed."""
        names = self._segments.names()
        for path in self._folder.glob("*"):
            if path.name not in names:
                path.unlink(missing_ok=True)

    def _load(self, segment: str) -> pl.DataFrame | None:
        path = self._folder / segment
        try:
            if pl.read_parquet_metadata(path).get(_LAYOUT) == self._layout:
                return pl.read_parquet(path, glob=False)
        except (OSError, pl.exceptions.PolarsError):  # missing or damaged
            pass
        return None

    def _make(self, segment: str) -> pl.DataFrame:
        rows = pl.concat(self._parsed(segment))
        with contextlib.suppress(OSError):  # a full or read-only disk: the next collation parses them again
            self._folder.mkdir(exist_ok=True)
            with staged(self._folder / segment) as place:
                rows.write_parquet(place, metadata={_LAYOUT: self._layout})
        found = self._load(segment)  # in a table that was read, equal texts share memory
        return rows if found is None else found

    def _parsed(self, segment: str) -> Iterator[pl.DataFrame]:
        bodies = enumerate(self._segments.all_bodies(segment))
        yield _ROWS.to_frame()
        while part := list(islice(bodies, BATCH)):
            rows = []
            for place, body in part:
                with contextlib.suppress(Unreadable):
                    rows.append(read_row(body) | {"row": place})
            yield frame(rows, _ROWS)
