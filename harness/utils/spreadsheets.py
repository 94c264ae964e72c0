"""Protection against formulas in CSV files that a spreadsheet opens."""

from __future__ import annotations

import polars as pl

_FORMULA = r"^[\s\x00-\x20]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]"
"""Matches texts that spreadsheets read as formulas: also full-width signs, and with leading blanks that they skip."""


def inert(frame: pl.DataFrame) -> pl.DataFrame:
    """Puts an apostrophe before every text and column name that a spreadsheet would read as a formula.

    Only columns of texts change; negative numbers remain numbers.
    """
    texts = pl.col(pl.String)
    kept = frame.with_columns(pl.when(texts.str.contains(_FORMULA)).then("'" + texts).otherwise(texts).name.keep())
    names = pl.Series(frame.columns, dtype=pl.String)
    marked = pl.select(pl.when(names.str.contains(_FORMULA)).then("'" + names).otherwise(names)).to_series()
    return kept.rename(dict(zip(frame.columns, marked, strict=True)))
