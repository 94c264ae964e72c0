"""The statistics of all tables. Nulls (runs without a finite value) are left out of a mean and counted apart."""

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
"""What all runs that may be pooled have in common: everything but the seed. ``source`` is null for this store's own."""

CONTEST = ("task", "task_version", "variant", "task_params", "protocol", "metric", "direction")
"""What two runs have in common that may be held against each other."""


def mean(column: str) -> pl.Expr:
    return pl.col(column).mean()


def stderr(column: str) -> pl.Expr:
    """Sample standard deviation (ddof = 1) / sqrt(number of values): null for a single value."""
    return pl.col(column).std(ddof=1) / pl.col(column).count().sqrt()


def count(column: str) -> pl.Expr:
    return pl.col(column).count().cast(pl.Int64)


def score() -> pl.Expr:
    """A run's metric or, where that is worse, the stricter one of the same unit, as on the leaderboard."""
    strict = pl.any_horizontal(pl.col("control_name") == pl.format(name, pl.col("metric")) for name in stricter("{}"))
    worse = pl.when(pl.col("direction") == "max").then(pl.min_horizontal("value", "control"))
    counted = pl.when(strict).then(worse.otherwise(pl.max_horizontal("value", "control"))).otherwise(pl.col("value"))
    return pl.when(pl.col("value").is_not_null()).then(counted).alias("score")
