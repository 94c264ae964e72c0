"""The table ``runs``: one row per run."""

from __future__ import annotations

import polars as pl

from harness.collate.labels import setting_labels


def runs(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per digest and source, in a fixed order, each with its ``setting_label``.

    A digest that has two files of one source (a run that failed, then succeeded; a copied file) counts once: the
    success, then the later one.
    """
    once = rows.sort(pl.col("status") == "succeeded", "finished", "file", descending=[True, True, False]).unique(
        ["digest", "source"], keep="first", maintain_order=True
    )
    return once.join(setting_labels(once), on="setting", how="left").sort(
        "task", "protocol", "method", "size", "setting", "seed", "digest", nulls_last=True
    )
