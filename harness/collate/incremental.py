"""Reads the records that are new or changed since the last collation, found in one scan of the folder."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from harness.collate.kept import BATCH, LAYOUT, KeptRows, kept_records
from harness.collate.reading import COLUMNS, Unreadable, frame, read_row
from harness.records.layout import IMPORTED, SEGMENTS, record_folders
from harness.records.segments import Segments

STAMP: dict[str, pl.DataType | type[pl.DataType]] = {
    "file": pl.String,
    "file_mtime_ns": pl.Int64,
    "file_size": pl.Int64,
}
ROWS = pl.Schema(COLUMNS | STAMP)
RESCANS = 3
_LAYOUT_KEY, _WRITTEN_KEY = "symbench.layout", "symbench.written"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeftOut:
    """A file that is no readable record.

    Attributes:
        file: The file relative to the store.
        reason: Why it cannot be read.
        newer: True if a newer version of symbench wrote it.
    """

    file: str
    reason: str
    newer: bool


@dataclass(frozen=True)
class Rows:
    """The rows of a store.

    Attributes:
        frame: One row per readable record; the cached table itself if nothing changed.
        changed: True if it differs from the cached table.
        parsed: Number of records that were parsed.
        left_out: The unreadable files.
    """

    frame: pl.DataFrame
    changed: bool
    parsed: int
    left_out: tuple[LeftOut, ...]


def read_rows(root: Path, cache: pl.DataFrame | None) -> Rows:
    """Reads all records of a store, those of imported bundles included.

    Args:
        root: The folder of the store.
        cache: Rows of an earlier call, reused for files whose name, time and size are unchanged.
    """
    rows, missed = _read_rows(root, cache)
    for _ in range(RESCANS):
        if not missed:  # otherwise a file was moved into a segment, or a success replaced a failure
            break
        again, missed = _read_rows(root, rows.frame)
        rows = Rows(again.frame, True, rows.parsed + again.parsed, again.left_out)
    return rows


def _read_rows(root: Path, cache: pl.DataFrame | None) -> tuple[Rows, bool]:
    """The rows of one scan, and whether some files were removed before they could be read."""
    segments = Segments(root / SEGMENTS)
    files = pl.DataFrame(list(_stamps(root)), schema=STAMP, orient="row")
    kept = kept_records(segments, files["file"])  # after the scan, to see files that were moved meanwhile
    stamps = pl.concat([files, kept.select(*STAMP)])
    same = stamps.clear() if cache is None else cache.select(*STAMP).join(stamps, on=list(STAMP), how="semi")
    reader = _Reader(root, segments)
    new = [one.join(same, on="file", how="anti") for one in (files, kept)]
    parts = [part for part in (*reader.files(new[0]), *reader.kept(new[1])) if part.height]
    if cache is not None and not parts and same.height == cache.height:
        return Rows(cache, False, 0, tuple(reader.left_out)), reader.missed
    if cache is not None:
        known = cache.select(*ROWS)
        parts = [known.join(stamps, on=list(STAMP), how="semi") if same.height < cache.height else known, *parts]
    parsed = sum(part.height for part in parts) - same.height
    return Rows(pl.concat([ROWS.to_frame(), *parts]), True, parsed, tuple(reader.left_out)), reader.missed


class _Reader:
    """Parses records; ``left_out`` are unreadable files, and ``missed`` is True if some were removed meanwhile."""

    def __init__(self, root: Path, segments: Segments) -> None:
        self._root, self._segments = root, segments
        self.left_out: list[LeftOut] = []
        self.missed = False

    def files(self, stamps: pl.DataFrame) -> Iterator[pl.DataFrame]:
        for batch in stamps.sort("file").iter_slices(BATCH):
            yield self._frame((stamp, self._body(stamp["file"])) for stamp in batch.iter_rows(named=True))

    def kept(self, stamps: pl.DataFrame) -> Iterator[pl.DataFrame]:
        rows = KeptRows(self._root / SEGMENTS, self._segments, LAYOUT)
        for (segment,), wanted in stamps.group_by("segment", maintain_order=True):
            try:
                found = rows.of(str(segment))
                if found["row"].equals(wanted["row"]):  # the usual case, which needs no copy
                    yield found.hstack(wanted.select(*STAMP)).select(*ROWS)
                    continue
                there = found.join(wanted.drop("segment"), on="row", how="inner", maintain_order="left")
                yield there.select(*ROWS)
                self._refuse(str(segment), wanted.join(there, on="row", how="anti"))
            except FileNotFoundError:
                self.missed = True
        rows.sweep()

    def _refuse(self, segment: str, records: pl.DataFrame) -> None:
        """Finds out why some records gave no row."""
        bodies = self._segments.bodies(segment, records["row"])
        self._frame(zip(records.select(*STAMP).iter_rows(named=True), bodies, strict=True))

    def _body(self, file: str) -> bytes | None:
        try:
            return (self._root / file).read_bytes()
        except FileNotFoundError:
            self.missed = True
        except OSError as error:
            self.left_out.append(LeftOut(file, error.strerror or str(error), False))
        return None

    def _frame(self, found: Iterable[tuple[dict[str, Any], bytes | str | None]]) -> pl.DataFrame:
        rows = []
        for stamp, body in found:
            try:
                if body is not None:
                    rows.append(read_row(body, _source(stamp["file"])) | stamp)
            except Unreadable as error:
                self.left_out.append(LeftOut(stamp["file"], str(error), error.newer))
        return frame(rows, ROWS)


def _source(file: str) -> str | None:
    """The bundle of a record: X for ``imported/X/records/...``, None for ``records/...``."""
    first, second, *_ = file.split("/")
    return second if first == IMPORTED else None


def load_cache(folder: Path, names: Sequence[str]) -> dict[str, pl.DataFrame] | None:
    """Returns the tables ``names`` of the last collation, or None unless all are readable and written together.

    Tables of another layout are not used either.
    """
    paths = {name: folder / f"{name}.parquet" for name in names}
    if not all(path.exists() for path in paths.values()):
        return None
    try:
        marks = [pl.read_parquet_metadata(path) for path in paths.values()]
        if any(mark.get(key) != marks[0].get(key) for mark in marks for key in (_LAYOUT_KEY, _WRITTEN_KEY)):
            return None
        if marks[0].get(_LAYOUT_KEY) != LAYOUT:
            return None
        return {name: pl.read_parquet(path, glob=False) for name, path in paths.items()}
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("The tables in %s are damaged (%s) and are built again.", folder, error)
        return None


def cache_metadata() -> dict[str, str]:
    """The metadata that marks Parquet files as tables of this layout, written together."""
    return {_LAYOUT_KEY: LAYOUT, _WRITTEN_KEY: uuid.uuid4().hex}


def _stamps(root: Path) -> Iterator[tuple[str, int, int]]:
    """The name relative to ``root``, time and size of every file; names with a leading dot are temporary files."""
    for folder in record_folders(root):
        prefix = folder.relative_to(root).as_posix()
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.endswith(".json") or entry.name.startswith("."):
                    continue
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue
                if entry.is_file():
                    yield f"{prefix}/{entry.name}", status.st_mtime_ns, status.st_size
