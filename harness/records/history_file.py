"""The Parquet files of histories."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import StoreError
from harness.records.history import HistoryRow

if TYPE_CHECKING:
    import polars as pl

HISTORY_ROWS, HISTORY_BYTES = 1_000_000, 1 << 26
"""Bounds on a history, far above those of any run."""


def history_frame(rows: Sequence[HistoryRow]) -> pl.DataFrame:
    """A history with the columns ``step``, ``name``, ``value`` and ``seconds``."""
    import polars as pl

    schema = {"step": pl.Int64, "name": pl.String, "value": pl.Float64, "seconds": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def history_parquet(rows: Sequence[HistoryRow]) -> bytes:
    """The content of the Parquet file of a history."""
    buffer = BytesIO()
    history_frame(rows).write_parquet(buffer)
    return buffer.getvalue()


def read_history(path: Path, digest: str) -> pl.DataFrame:
    """Reads the history of a run.

    Raises:
        StoreError: The file is damaged or larger than the history of any run.
    """
    import pyarrow as pa

    from harness.records.parquet import read_parquet

    types = {"step": pa.int64(), "name": pa.large_string(), "value": pa.float64(), "seconds": pa.float64()}
    try:
        return read_parquet(path, pa.schema(types), most_rows=HISTORY_ROWS, most_bytes=HISTORY_BYTES)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"The history {path} cannot be read: delete it and the record of run {digest}, then run that again."
        ) from error
