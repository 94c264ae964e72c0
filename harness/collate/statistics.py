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

SETTING = ("setting", "source")
"""The columns that identify a setting; ``source`` separates imported records."""

BENCHMARK = ("task", "task_version", "variant", "task_params", "protocol", "metric", "direction")
"""The columns that comparable runs have in common."""


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
    """The score of a run, by which methods are compared: its value of the metric :func:`score_metric`.

    It is null if the run has no finite value. It is also null if the setting did not record the stricter metric while
    others of its benchmark did: its value may then come from the order of the data alone.
    """
    recorded = _strict().is_not_null().any()
    comparable = recorded.over(SETTING) | ~recorded.over(BENCHMARK)
    return pl.when(comparable).then(own_score()).alias("score")


def own_score() -> pl.Expr:
    """The score of a run, whatever other settings recorded: for a setting that is compared with itself only."""
    counted = pl.when(_is_worse()).then(_strict()).otherwise(pl.col("value"))
    return pl.when(pl.col("value").is_not_null()).then(counted).alias("score")


def score_metric() -> pl.Expr:
    """The metric by which a setting is compared: the stricter one (:func:`~tasks.cards.stricter`) if it is worse.

    The means over the seeds of the setting decide, and not each seed: the mean of the worse of two noisy values would
    put a sound method at a disadvantage.
    """
    return pl.when(_is_worse()).then("control_name").otherwise("metric").alias("score_metric")


def _strict() -> pl.Expr:
    """The control of a run if it is a stricter form of the metric, else null."""
    names = (pl.format(name, pl.col("metric")) for name in stricter("{}"))
    return pl.when(pl.any_horizontal(pl.col("control_name") == name for name in names)).then("control")


def _is_worse() -> pl.Expr:
    """Whether the mean of the stricter metric over the seeds of the setting is worse than that of the metric."""
    gap = (_strict().mean() - pl.col("value").mean()).over(SETTING)
    return pl.when(pl.col("direction") == "max").then(gap < 0).otherwise(gap > 0)
