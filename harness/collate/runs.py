"""The table ``runs``: one row per run."""

from __future__ import annotations

import polars as pl

from harness.collate.labels import setting_labels

_BY = ("task", "protocol", "method", "size", "setting", "seed", "digest")


def runs(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per digest and source, in a fixed order and with its ``setting_label``.

    If a source has several records of a digest (a run that failed and then succeeded, or a copied file), a success
    counts before a failure, and a later record before an earlier one.

    Args:
        rows: The rows of all records.
    """
    return runs_of(rows.get_columns())


def runs_of(columns: list[pl.Series]) -> pl.DataFrame:
    """Computes :func:`runs` from the columns of the rows and empties the list, to save memory.

    A million rows take gigabytes, so each column is released before the next one is copied.
    """
    rows = pl.DataFrame(columns)
    labels = rows.select("setting").join(setting_labels(rows), on="setting", how="left", maintain_order="left")
    place = _places(rows)
    del rows
    moved = [columns.pop(0).rechunk()[place] for _ in range(len(columns))]  # else all texts are copied
    return pl.DataFrame([*moved, labels["setting_label"][place]])


def _places(rows: pl.DataFrame) -> pl.Series:
    """The indices of the rows that remain, in the order of the table."""
    narrow = rows.select("status", "finished", "file", "source", *_BY).with_row_index("place")
    once = narrow.sort(
        pl.col("status") == "succeeded", "finished", "file", descending=[True, True, False], nulls_last=True
    ).unique(["digest", "source"], keep="first", maintain_order=True)
    return once.sort(*_BY, nulls_last=True)["place"]
