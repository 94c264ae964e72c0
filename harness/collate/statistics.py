"""The statistics of all tables. Nulls (runs without a finite value) are left out of means and counted separately."""

from __future__ import annotations

import polars as pl

from tasks.cards import stricter

SETTING_KEYS = (
    "task",
    "task_version",
    "variant",
    "task_params",
    "group",
    "size_name",
    "size",
    "protocol",
    "method",
    "method_version",
    "kind",
    "base_model",
    "weights",
    "sampler",
    "setting",
    "setting_label",
    "source",
    "metric",
    "direction",
)
"""The columns that pooled runs have in common: all but the seed. ``source`` is null for runs of this store."""

CONTEST = ("task", "task_version", "variant", "task_params", "protocol", "metric", "direction")
"""The columns that two comparable runs have in common."""


def mean(column: str) -> pl.Expr:
    """The mean over seeds."""
    return pl.col(column).mean()


def stderr(column: str) -> pl.Expr:
    """The standard error of the mean: sample standard deviation (ddof = 1) / sqrt(n), null for a single value."""
    return pl.col(column).std(ddof=1) / pl.col(column).count().sqrt()


def count(column: str) -> pl.Expr:
    """The number of values that are not null."""
    return pl.col(column).count().cast(pl.Int64)


def score() -> pl.Expr:
    """The score of a run, as on the leaderboard: its metric, or the stricter metric of the same unit if it is worse."""
    strict = pl.any_horizontal(pl.col("control_name") == pl.format(name, pl.col("metric")) for name in stricter("{}"))
    worse = pl.when(pl.col("direction") == "max").then(pl.min_horizontal("value", "control"))
    counted = pl.when(strict).then(worse.otherwise(pl.max_horizontal("value", "control"))).otherwise(pl.col("value"))
    return pl.when(pl.col("value").is_not_null()).then(counted).alias("score")
