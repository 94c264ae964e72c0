"""The table ``sample_complexity``: quality and estimator variance against the number of group samples k."""

from __future__ import annotations

import polars as pl

from harness.collate.statistics import SETTING_KEYS, count, mean, stderr


def sample_complexity(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting and k (``samples``); ``variance`` is the mean over seeds of the estimator's own variance."""
    return (
        runs.filter(pl.col("status") == "succeeded")
        .select(*SETTING_KEYS, "curve")
        .explode("curve", empty_as_null=False)
        .filter(pl.col("curve").is_not_null())
        .with_columns(
            pl.col("curve").struct.field("samples"),
            pl.col("curve").struct.field("value"),
            pl.col("curve").struct.field("variance").alias("spread"),
        )
        .group_by(*SETTING_KEYS, "samples", maintain_order=True)
        .agg(
            mean("value").alias("mean"),
            stderr("value").alias("stderr"),
            mean("spread").alias("variance"),
            stderr("spread").alias("variance_stderr"),
            count("value").alias("seeds"),
        )
        .sort("task", "protocol", "method", "size", "setting", "samples", nulls_last=True)
    )
