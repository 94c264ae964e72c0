"""Reads Parquet files that may be damaged or malicious, in steps and within bounds.

Any fault is a ValueError. (Polars panics on some damaged pages, and decodes a whole file before its size is known.)
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.utils.text import first_line

BATCH = 1024
"""Rows that are decoded at a time."""


def read_parquet(source: Path | bytes, schema: pa.Schema, *, most_rows: int, most_bytes: int) -> pl.DataFrame:
    """Reads some columns of a Parquet file.

    Args:
        source: A file or its content.
        schema: The columns to read; texts are ``large_string``.
        most_rows: The largest number of rows.
        most_bytes: The largest number of bytes, for the stored pages and for the decoded columns.

    Raises:
        ValueError: The file is no Parquet file, is damaged, lacks a column, or exceeds a bound.
    """
    texts = [field.name for field in schema if pa.types.is_large_string(field.type)]
    try:
        with _opened(source) as file:
            _refuse_unfit(file, schema, most_rows, most_bytes)
        with _opened(source, read_dictionary=texts) as file:
            return _read(file, schema, most_rows, most_bytes)
    except (OSError, LookupError, TypeError, NotImplementedError, MemoryError, pa.ArrowException) as error:
        raise ValueError(first_line(error)) from error


def _opened(source: Path | bytes, **options: Any) -> pq.ParquetFile:
    return pq.ParquetFile(BytesIO(source) if isinstance(source, bytes) else source, **options)


def _refuse_unfit(file: pq.ParquetFile, schema: pa.Schema, most_rows: int, most_bytes: int) -> None:
    about = file.metadata
    groups = (about.row_group(place) for place in range(about.num_row_groups))
    if about.num_rows > most_rows or sum(group.total_byte_size for group in groups) > most_bytes:
        raise ValueError("it holds more than such a file ever does")
    if missing := [name for name in schema.names if file.schema_arrow.names.count(name) != 1]:
        raise ValueError(f"it has no column {missing[0]}")


def _read(file: pq.ParquetFile, schema: pa.Schema, most_rows: int, most_bytes: int) -> pl.DataFrame:
    """Reads texts as dictionary indices, so that their bytes are counted before they are decoded."""
    parts: list[pa.Table] = []
    rows = written = 0
    for batch in file.iter_batches(BATCH, columns=schema.names, use_threads=False):
        rows += batch.num_rows
        written += sum(_bytes(column) for column in batch.columns)
        if rows > most_rows or written > most_bytes:
            raise ValueError("it holds more than such a file ever does")
        parts.append(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
    return pl.DataFrame(pl.from_arrow(pa.concat_tables([schema.empty_table(), *parts])))


def _bytes(column: pa.Array) -> int:
    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary)
    return int(pc.sum(pc.cast(lengths, pa.int64()).take(column.indices)).as_py() or 0)
