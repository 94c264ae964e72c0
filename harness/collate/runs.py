"""The table ``runs``: one row per run."""

from __future__ import annotations

import polars as pl

from harness.collate.labels import setting_labels

_BY = ("task", "protocol", "method", "size", "setting", "seed", "digest")


def runs(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per digest and source, in a fixed order, each with its ``setting_label``.

    A digest that has two files of one source (a run that failed, then succeeded; a copied file) counts once: the
    success, then the later one.
    """
    return runs_of(rows.get_columns())


def runs_of(columns: list[pl.Series]) -> pl.DataFrame:
    """:func:`runs` of the columns of rows, which are taken out of the list one after another: a million rows take
    gigabytes, and need not be there twice."""
    rows = pl.DataFrame(columns)
    labels = rows.select("setting").join(setting_labels(rows), on="setting", how="left", maintain_order="left")
    place = _places(rows)
    del rows
    moved = [columns.pop(0).rechunk()[place] for _ in range(len(columns))]  # of several chunks all texts were copied
    return pl.DataFrame([*moved, labels["setting_label"][place]])


def _places(rows: pl.DataFrame) -> pl.Series:
    """Of the rows that stay, in the order of the table."""
    narrow = rows.select("status", "finished", "file", "source", *_BY).with_row_index("place")
    once = narrow.sort(pl.col("status") == "succeeded", "finished", "file", descending=[True, True, False]).unique(
        ["digest", "source"], keep="first", maintain_order=True
    )
    return once.sort(*_BY, nulls_last=True)["place"]
