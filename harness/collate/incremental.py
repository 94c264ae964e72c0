"""Which records are new or changed since the last time, found in one scan of the folder; only those are parsed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from harness.collate.reading import COLUMNS, Unreadable, read_row

LAYOUT = "2"
"""Changes whenever the same record would give another row, so that no old cache is taken for a new one."""

STAMP: dict[str, pl.DataType | type[pl.DataType]] = {
    "file": pl.String,
    "file_mtime_ns": pl.Int64,
    "file_size": pl.Int64,
}
ROWS = COLUMNS | STAMP
_LAYOUT_KEY = "symbench.layout"
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


def read_rows(folder: Path, cache: pl.DataFrame | None) -> Rows:
    """The rows of all records in ``folder``, taken from ``cache`` where file name, time and size are as they were."""
    stamps = pl.DataFrame(list(_stamps(folder)), schema=STAMP, orient="row")
    known = pl.DataFrame(schema=ROWS) if cache is None else cache.join(stamps, on=list(STAMP), how="semi").select(*ROWS)
    fresh: list[dict[str, Any]] = []
    left_out: list[LeftOut] = []
    for stamp in stamps.join(known, on="file", how="anti").sort("file").iter_rows(named=True):
        try:
            fresh.append(read_row((folder / stamp["file"]).read_bytes()) | stamp)
        except FileNotFoundError:
            continue  # replaced since the scan (a success takes the place of a failure): the next collate sees it
        except Unreadable as error:
            left_out.append(LeftOut(stamp["file"], str(error), error.newer))
        except OSError as error:
            left_out.append(LeftOut(stamp["file"], error.strerror or str(error), False))
    if cache is not None and not fresh and known.height == cache.height:
        return Rows(cache, False, 0, tuple(left_out))
    return Rows(pl.concat([known, _frame(fresh)]), True, len(fresh), tuple(left_out))


def load_cache(path: Path) -> pl.DataFrame | None:
    """The ``runs`` table written last time, if it is whole and of this layout."""
    if not path.exists():
        return None
    try:
        if pl.read_parquet_metadata(path).get(_LAYOUT_KEY) != LAYOUT:
            return None
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("%s is damaged (%s): all records are read again.", path, error)
        return None


def cache_metadata() -> dict[str, str]:
    """What marks a parquet file as a cache of this layout."""
    return {_LAYOUT_KEY: LAYOUT}


def _stamps(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Names that start with a dot are files still being written."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(".json") or entry.name.startswith("."):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            if entry.is_file():
                yield entry.name, status.st_mtime_ns, status.st_size


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame({name: [row[name] for row in rows] for name in ROWS}, schema=ROWS)
