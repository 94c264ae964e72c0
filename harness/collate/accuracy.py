"""The table ``accuracy``: the task's metric per task x method x setting, over seeds."""

from __future__ import annotations

import polars as pl

from harness.collate.statistics import SETTING_KEYS, count, mean, stderr


def accuracy(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting, also where every run failed.

    ``seeds`` counts the runs that gave a finite value, ``failed`` those that failed, ``undefined`` those that ended
    well with no finite value. ``control`` is the metric beside it (:class:`~tasks.cards.TaskCard`), null where the runs
    recorded none; ``control_seeds`` counts the runs that did. Units: seconds, bytes, group samples per example.
    """
    failed = pl.col("status") == "failed"
    return (
        runs.group_by(SETTING_KEYS, maintain_order=True)
        .agg(
            mean("value").alias("mean"),
            stderr("value").alias("stderr"),
            count("value").alias("seeds"),
            pl.col("control_name").drop_nulls().first(),
            mean("control").alias("control_mean"),
            stderr("control").alias("control_stderr"),
            count("control").alias("control_seeds"),
            failed.sum().cast(pl.Int64).alias("failed"),
            (~failed & pl.col("value").is_null()).sum().cast(pl.Int64).alias("undefined"),
            pl.col("parameters").max(),
            pl.col("train_samples", "test_samples").first(),
            mean("train_seconds"),
            mean("seconds_per_example"),
            pl.col("peak_memory_bytes").max(),
            pl.col("suite").unique().sort().str.join(", ").alias("suites"),
        )
        .sort("task", "protocol", "method", "size", "setting", nulls_last=True)
    )
