"""CSV files that a spreadsheet opens without computing anything that is written in them."""

from __future__ import annotations

import polars as pl

_FORMULA = r"^[\s\x00-\x20]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]"
"""What spreadsheets take for a formula, also in the full width of East Asian scripts, and what they skip before it."""


def inert(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with an apostrophe before each text, and each name of a column, that would be a formula.

    Numbers stay numbers, negative ones too: only columns of texts are changed.
    """
    texts = pl.col(pl.String)
    kept = frame.with_columns(pl.when(texts.str.contains(_FORMULA)).then("'" + texts).otherwise(texts).name.keep())
    names = pl.Series(frame.columns, dtype=pl.String)
    marked = pl.select(pl.when(names.str.contains(_FORMULA)).then("'" + names).otherwise(names)).to_series()
    return kept.rename(dict(zip(frame.columns, marked, strict=True)))
