"""The table ``accuracy``: the task's metric per task x method x setting, over seeds."""

from __future__ import annotations

import numpy as np
import polars as pl

from harness.collate.bootstrap import interquartile_intervals
from harness.collate.statistics import SETTING_KEYS, count, mean, score, score_metric, stderr

INTERVAL = ("iqm", "iqm_low", "iqm_high")


def accuracy(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting, even if all its runs failed; :func:`with_intervals` completes the rows.

    ``seeds`` counts the runs with a finite value, ``failed`` those that failed, and ``undefined`` those that succeeded
    without a finite value. ``score`` is the value by which the setting is compared with others
    (:func:`~harness.collate.statistics.score`), from ``score_seeds`` runs. ``control`` is the second metric of the task
    (:class:`~tasks.cards.TaskCard`), null if the runs did not record it, and ``control_seeds`` counts the runs that
    did. Costs are in :func:`~harness.collate.costs.costs`.

    Args:
        runs: The table ``runs``.
    """
    failed = pl.col("status") == "failed"
    return (
        runs.with_columns(score(), score_metric())
        .group_by(SETTING_KEYS, maintain_order=True)
        .agg(
            mean("value").alias("mean"),
            stderr("value").alias("stderr"),
            count("value").alias("seeds"),
            pl.col("score_metric").first(),
            mean("score"),
            stderr("score").alias("score_stderr"),
            count("score").alias("score_seeds"),
            pl.col("score").drop_nulls().alias("values"),
            pl.col("control_name").drop_nulls().first(),
            mean("control").alias("control_mean"),
            stderr("control").alias("control_stderr"),
            count("control").alias("control_seeds"),
            failed.sum().cast(pl.Int64).alias("failed"),
            (~failed & pl.col("value").is_null()).sum().cast(pl.Int64).alias("undefined"),
            pl.col("parameters").max(),
            pl.col("train_samples", "test_samples").first(),
            mean("flops_per_example"),
            pl.col("suite").unique().sort().str.join(", ").alias("suites"),
        )
        .sort("task", "protocol", "method", "size", "setting", nulls_last=True)
    )


def with_intervals(pooled: pl.DataFrame) -> pl.DataFrame:
    """Replaces the column ``values`` by the interquartile mean ``iqm`` and the ends of its 95 % bootstrap interval.

    They are of the scores of the runs, as ``score`` is.

    The ends are null for one seed. From five seeds on the coverage is about 95 %. For two or three seeds the interval
    is their range, which covers the true value in about 51 % or 75 % of cases (:mod:`harness.collate.bootstrap`).
    """
    bounds = np.full((3, len(pooled)), np.nan)
    seeds = pooled["score_seeds"].to_numpy()
    for many in np.unique(seeds[seeds > 0]):
        rows = np.flatnonzero(seeds == many)
        values = pooled["values"].gather(rows).list.to_array(int(many)).to_numpy()
        bounds[:, rows] = interquartile_intervals(values)
    columns = [pl.Series(name, ends, nan_to_null=True) for name, ends in zip(INTERVAL, bounds, strict=True)]
    place = pooled.columns.index("values")
    left, right = pooled.columns[:place], pooled.columns[place + 1 :]
    return pooled.with_columns(columns).select(*left, *INTERVAL, *right)
