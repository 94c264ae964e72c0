"""Which records are new or changed since the last time, found in one scan of the folder; only those are parsed."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from harness.collate.reading import COLUMNS, Unreadable, frame, read_row
from harness.records.store import IMPORTED

LAYOUT = "9"
"""Changes whenever the same records would give other tables, so that no old cache is taken for a new one."""

STAMP: dict[str, pl.DataType | type[pl.DataType]] = {
    "file": pl.String,
    "file_mtime_ns": pl.Int64,
    "file_size": pl.Int64,
}
ROWS = pl.Schema(COLUMNS | STAMP)
BATCH = 4096
"""Records that are rows of Python values at once: a hundred thousand would take gigabytes."""
_LAYOUT_KEY, _WRITTEN_KEY = "symbench.layout", "symbench.written"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeftOut:
    """A file among the records that could not be read, and why; ``newer``: a later symbench wrote it."""

    file: str
    reason: str
    newer: bool


@dataclass(frozen=True)
class Rows:
    """One row per readable file, and what was left out; the cached table itself where nothing ``changed``."""

    frame: pl.DataFrame
    changed: bool
    parsed: int
    left_out: tuple[LeftOut, ...]


def read_rows(root: Path, cache: pl.DataFrame | None) -> Rows:
    """The rows of all records of the store at ``root``, its own and those of the bundles that it imported.

    They are taken from ``cache`` where name, time and size of a file are as they were.
    """
    stamps = pl.DataFrame(list(_stamps(root)), schema=STAMP, orient="row")
    known = pl.DataFrame(schema=ROWS) if cache is None else cache.join(stamps, on=list(STAMP), how="semi").select(*ROWS)
    parts = [known]
    left_out: list[LeftOut] = []
    new = stamps.join(known, on="file", how="anti").sort("file")
    for batch in new.iter_slices(BATCH):
        rows = [row for stamp in batch.iter_rows(named=True) if (row := _read(root, stamp, left_out)) is not None]
        parts.append(frame(rows, ROWS))
    parsed = sum(part.height for part in parts[1:])
    if cache is not None and not parsed and known.height == cache.height:
        return Rows(cache, False, 0, tuple(left_out))
    return Rows(pl.concat(parts), True, parsed, tuple(left_out))


def _read(root: Path, stamp: dict[str, Any], left_out: list[LeftOut]) -> dict[str, Any] | None:
    """The row of one file; where it is no record, the reason is added to ``left_out``."""
    try:
        return read_row((root / stamp["file"]).read_bytes(), _source(stamp["file"])) | stamp
    except FileNotFoundError:
        return None  # replaced since the scan (a success takes the place of a failure): the next collate sees it
    except Unreadable as error:
        left_out.append(LeftOut(stamp["file"], str(error), error.newer))
    except OSError as error:
        left_out.append(LeftOut(stamp["file"], error.strerror or str(error), False))
    return None


def _source(file: str) -> str | None:
    """The bundle that a record came with: ``None`` for ``records/...``, X for ``imported/X/records/...``."""
    first, second, *_ = file.split("/")
    return second if first == IMPORTED else None


def load_cache(folder: Path, names: Sequence[str]) -> dict[str, pl.DataFrame] | None:
    """The tables ``names`` as they were written last time, if all are whole, of this layout and written together."""
    paths = {name: folder / f"{name}.parquet" for name in names}
    if not all(path.exists() for path in paths.values()):
        return None
    try:
        marks = [pl.read_parquet_metadata(path) for path in paths.values()]
        if any(mark.get(key) != marks[0].get(key) for mark in marks for key in (_LAYOUT_KEY, _WRITTEN_KEY)):
            return None
        if marks[0].get(_LAYOUT_KEY) != LAYOUT:
            return None
        return {name: pl.read_parquet(path) for name, path in paths.items()}
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("The tables in %s are damaged (%s): they are made again.", folder, error)
        return None


def cache_metadata() -> dict[str, str]:
    """What marks parquet files as a cache of this layout, written together."""
    return {_LAYOUT_KEY: LAYOUT, _WRITTEN_KEY: uuid.uuid4().hex}


def _stamps(root: Path) -> Iterator[tuple[str, int, int]]:
    """Names are relative to ``root``; those that start with a dot are files still being written."""
    for folder in (root / "records", *sorted((root / IMPORTED).glob("[!.]*/records"))):
        if not folder.is_dir():
            continue
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
