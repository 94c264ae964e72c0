"""The files of one segment: a Parquet file with the records of many runs, and ``histories/<name>`` with their metrics.

Both are written once, the histories first, and never changed. A segment exists once its records do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import StoreError
from harness.utils.text import first_line
from tasks.sources.atomic_files import replacing

T = TypeVar("T")

GROUP_RECORDS = 256
"""Records in a row group, all of which are decoded to read one."""
GROUP_ROWS = 1 << 17
"""The approximate number of rows in a row group of histories; all rows of a run are in one group."""
RECORDS = pa.schema(
    {"digest": pa.string(), "status": pa.string(), "finished": pa.string(), "record": pa.large_string()}
)
HISTORIES = pa.schema(
    {
        "digest": pa.string(),
        "status": pa.string(),
        "step": pa.int64(),
        "name": pa.string(),
        "value": pa.float64(),
        "seconds": pa.float64(),
    }
)
HISTORY = pl.Schema({"step": pl.Int64, "name": pl.String, "value": pl.Float64, "seconds": pl.Float64})
_WRITING: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
_DAMAGE = (OSError, ValueError, LookupError, pa.ArrowException)


class Kept(NamedTuple):
    """A run in a segment: the JSON of its record, and its history with the columns of :data:`HISTORY`."""

    digest: str
    status: str
    finished: str
    body: str
    history: pl.DataFrame


def histories_of(records: Path) -> Path:
    """The file with the histories of a segment, given that with its records."""
    return records.parent / "histories" / records.name


def write_segment(path: Path, runs: Iterable[Kept]) -> None:
    """Writes a segment atomically.

    Args:
        path: The file for the records.
        runs: The runs, sorted by digest.

    Raises:
        OSError: A file cannot be written. No part of the segment exists then.
    """
    with (
        replacing(path) as records,
        replacing(histories_of(path)) as histories,
        pq.ParquetWriter(histories, HISTORIES, **_WRITING) as history_file,
        pq.ParquetWriter(records, RECORDS, **_WRITING) as kept,
    ):
        _write(runs, kept, history_file)


def _write(runs: Iterable[Kept], records: pq.ParquetWriter, histories: pq.ParquetWriter) -> None:
    rows_of_histories = _Histories(histories)
    rows = iter(runs)
    while group := list(islice(rows, GROUP_RECORDS)):
        columns = zip(*(run[:4] for run in group), strict=True)
        records.write_table(pa.table(dict(zip(RECORDS.names, columns, strict=True)), schema=RECORDS))
        for run in group:
            rows_of_histories.add(run)
    rows_of_histories.flush()


class _Histories:
    """Collects histories and writes a row group whenever there are enough rows."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file, self._height = file, 0
        self._tables: list[pa.Table] = []

    def add(self, run: Kept) -> None:
        who = [pa.repeat(pa.scalar(text, pa.string()), run.history.height) for text in (run.digest, run.status)]
        rows = run.history.to_arrow().cast(pa.schema([HISTORIES.field(name) for name in HISTORY]))
        self._tables.append(pa.Table.from_arrays([*who, *rows.columns], schema=HISTORIES))
        self._height += run.history.height
        if self._height >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._height:
            self._file.write_table(pa.concat_tables(self._tables), row_group_size=self._height)
        self._tables, self._height = [], 0


class SegmentFile:
    """Reads one segment. A damaged segment is an error and is not moved aside, since it holds many records.

    Args:
        path: The file with the records.

    Raises:
        FileNotFoundError: The segment was removed; another one has its records. Raised by all methods.
        StoreError: The segment is damaged. Raised by all methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._decoded: tuple[int, list[str]] | None = None
        self._group: _Group | None = None

    def index(self) -> pl.DataFrame:
        """The columns ``digest``, ``status`` and ``finished`` of all records, in the order of the file."""
        return pl.DataFrame(pl.from_arrow(_read(self.path, lambda file: file.read(["digest", "status", "finished"]))))

    def groups(self) -> int:
        """The number of row groups of records."""
        return _read(self.path, lambda file: int(file.num_row_groups))

    def body(self, row: int) -> str:
        """The JSON of the record in this row."""
        return self.bodies(row // GROUP_RECORDS)[row % GROUP_RECORDS]

    def bodies(self, group: int) -> list[str]:
        """The JSON of all records of a row group; the last group is cached."""
        decoded = self._decoded
        if decoded is None or decoded[0] != group:
            table = _read(self.path, lambda file: file.read_row_group(group, ["record"], use_threads=False))
            self._decoded = decoded = group, table.column("record").to_pylist()
        return decoded[1]

    def history(self, digest: str, status: str) -> pl.DataFrame:
        """The history of a run of this segment."""
        group = self._group
        if group is None or not group.first < digest < group.last:  # it may be in another group, or in several
            groups = _groups_with(histories_of(self.path), digest)
            self._group = groups[-1] if groups else None
        else:
            groups = [group]
        rows = [group.rows.filter(digest=digest, status=status) for group in groups]
        return pl.concat([pl.DataFrame(schema=HISTORY), *(part.select(*HISTORY) for part in rows)])


class _Group(NamedTuple):
    """A row group of histories with the digests of its first and last row."""

    first: str
    last: str
    rows: pl.DataFrame


def _groups_with(path: Path, digest: str) -> list[_Group]:
    found: list[_Group] = []

    def read(file: pq.ParquetFile) -> None:
        for number in range(file.metadata.num_row_groups):
            bounds = file.metadata.row_group(number).column(0).statistics
            if bounds.min <= digest <= bounds.max:
                rows = pl.DataFrame(pl.from_arrow(file.read_row_group(number, use_threads=False)))
                found.append(_Group(bounds.min, bounds.max, rows))

    _read(path, read)
    return found


def _read(path: Path, action: Callable[[pq.ParquetFile], T]) -> T:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return action(file)
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise StoreError(
            f"The segment {path} cannot be read ({first_line(error)}): bring it back from a copy, or delete it; the "
            "runs that it holds are done again then."
        ) from error
