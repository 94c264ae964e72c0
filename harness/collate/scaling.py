"""The table ``scaling``: metric, time per example and memory against the size of the group."""

from __future__ import annotations

import math

import polars as pl

from harness.collate.statistics import SETTING_KEYS, count, mean, stderr


def scaling(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting of every task x method that ran on at least two sizes.

    ``series`` is common to settings that differ in size alone. Units: seconds per example, bytes, nats.
    """
    keys = (*SETTING_KEYS, "series")
    sizes = pl.col("size").n_unique().over("task", "method")
    return (
        runs.filter((pl.col("status") == "succeeded") & pl.col("size").is_not_null())
        .filter(sizes >= 2)
        .group_by(*keys, maintain_order=True)
        .agg(
            mean("value").alias("mean"),
            stderr("value").alias("stderr"),
            mean("seconds_per_example"),
            stderr("seconds_per_example").alias("seconds_per_example_stderr"),
            mean("peak_memory_bytes"),
            stderr("peak_memory_bytes").alias("peak_memory_bytes_stderr"),
            count("value").alias("seeds"),
        )
        .with_columns(_log_group_size().alias("log_group_size"))
        .sort("task", "protocol", "method", "series", "size")
    )


def _log_group_size() -> pl.Expr:
    """log n! where S_n is a factor of the group (continuous factors have no size); null for other groups."""
    has_s_n = pl.col("group").str.split(" x ").list.contains("S_n")
    log_factorial = pl.col("size").map_elements(lambda n: math.lgamma(n + 1), return_dtype=pl.Float64)
    return pl.when(has_s_n).then(log_factorial)
