"""The collated tables and their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from harness.collate.incremental import LeftOut, cache_metadata
from harness.collate.structs import NESTED, as_json
from harness.errors import StoreError
from harness.records.record import SCHEMA
from harness.utils.spreadsheets import inert
from tasks.sources.atomic_files import staged

NAMES = ("accuracy", "costs", "ranks", "sample_complexity", "output_variance", "scaling", "runs")
"""``runs`` is written last: it is the cache, so it must not be newer than the others."""
CSV_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables of a store. ``runs`` has one row per run; the others pool seeds only.

    Attributes:
        left_out: The unreadable files.
        parsed: Number of records that were new or changed.
    """

    runs: pl.DataFrame
    accuracy: pl.DataFrame
    costs: pl.DataFrame
    ranks: pl.DataFrame
    sample_complexity: pl.DataFrame
    output_variance: pl.DataFrame
    scaling: pl.DataFrame
    left_out: tuple[LeftOut, ...] = ()
    parsed: int = 0

    def frames(self) -> Mapping[str, pl.DataFrame]:
        """The tables by name."""
        return {name: getattr(self, name) for name in NAMES}

    def warnings(self) -> list[str]:
        """One sentence for each reason that files were left out for, and for imported runs."""
        newer = Counter(item.reason for item in self.left_out if item.newer)
        sentences = [
            f"{_records(n)} left out: written with {schema}, newer than the schema {SCHEMA} that this symbench reads; "
            "update symbench and collate again."
            for schema, n in sorted(newer.items())
        ]
        corrupt = [item for item in self.left_out if not item.newer]
        if corrupt:
            sentences.append(
                f"{_records(len(corrupt))} left out: damaged or incomplete, the first is {corrupt[0].file} "
                f"({corrupt[0].reason}); the next launch of the suite runs what is missing."
            )
        sentences += _foreign(self.runs)
        return sentences


def _foreign(runs: pl.DataFrame) -> Iterator[str]:
    """Sentences on imported runs, and on those whose outcome differs from that of the same run elsewhere."""
    imported = runs.filter(pl.col("source").is_not_null())
    if imported.is_empty():
        return
    sources = ", ".join(sorted(imported["source"].unique()))
    if imported.height < runs.height:
        yield f"{imported.height:,} runs were imported (source {sources}): they have rows of their own."
    else:
        yield f"The runs come from {sources}: each source has rows of its own."
    twice = runs.group_by("digest").agg(pl.len(), pl.col("value", "status").n_unique())
    if apart := twice.filter((pl.col("len") > 1) & ((pl.col("value") > 1) | (pl.col("status") > 1))).height:
        yield f"Of {apart:,} digests several sources have runs with different outcomes: both are kept."


def _records(n: int) -> str:
    return "1 record is" if n == 1 else f"{n:,} records are"


def write_tables(tables: Tables, out: Path) -> None:
    """Writes each table as Parquet and as CSV, each file atomically.

    Raises:
        StoreError: A file cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        metadata = cache_metadata()
        for name, frame in tables.frames().items():
            with staged(out / f"{name}.csv") as place:
                _write_in_parts(frame, place)
            with staged(out / f"{name}.parquet") as place:
                frame.write_parquet(place, metadata=metadata)
    except OSError as error:
        raise StoreError(f"The tables cannot be written to {out} ({error.strerror or error}).") from error


def are_written(out: Path) -> bool:
    """Returns True if every file of :func:`write_tables` exists."""
    return all((out / f"{name}.{ending}").exists() for name in NAMES for ending in ("csv", "parquet"))


def _write_in_parts(frame: pl.DataFrame, path: Path) -> None:
    """Writes CSV in parts, since all texts of a million runs would take gigabytes."""
    with path.open("wb") as file:
        for start in range(0, max(1, frame.height), CSV_ROWS):
            _plain(frame[start : start + CSV_ROWS]).write_csv(file, include_header=start == 0, datetime_format="%+")


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The table without nested columns and formulas, for CSV: what runs hold as JSON, names joined by commas."""
    nested = [name for name, dtype in frame.schema.items() if dtype == NESTED.get(name)]
    frame = frame.with_columns(map(as_json, nested))
    names = [name for name, dtype in frame.schema.items() if dtype == pl.List(pl.String)]
    return inert(frame.with_columns(pl.col(names).list.join(", ")))
