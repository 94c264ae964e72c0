"""The table ``sample_complexity``: quality and estimator variance against the number of group samples k."""

from __future__ import annotations

import polars as pl

from harness.collate.statistics import SETTING, SETTING_KEYS, count, mean, stderr


def sample_complexity(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting and k (``samples``): means over seeds.

    ``variance`` is the variance of the estimator, ``equivariance`` its relative equivariance error on transformed
    inputs, and ``train_samples`` the k in training. :func:`with_convergence` adds columns that are equal for all rows
    of a setting.
    """
    return (
        runs.filter(pl.col("status") == "succeeded")
        .select(*SETTING_KEYS, "train_samples", "curve")
        .explode("curve", empty_as_null=False)
        .filter(pl.col("curve").is_not_null())
        .with_columns(
            pl.col("curve").struct.field("samples"),
            pl.col("curve").struct.field("value"),
            pl.col("curve").struct.field("variance").alias("spread"),
            pl.col("curve").struct.field("equivariance").alias("error"),
        )
        .group_by(*SETTING_KEYS, "train_samples", "samples", maintain_order=True)
        .agg(
            mean("value").alias("mean"),
            stderr("value").alias("stderr"),
            mean("spread").alias("variance"),
            stderr("spread").alias("variance_stderr"),
            mean("error").alias("equivariance"),
            stderr("error").alias("equivariance_stderr"),
            count("value").alias("seeds"),
        )
        .sort("task", "protocol", "method", "size", "setting", "samples", nulls_last=True)
    )


def with_convergence(pooled: pl.DataFrame, converged: pl.DataFrame) -> pl.DataFrame:
    """Adds the columns of :func:`~harness.collate.convergence.convergence` to every row of a setting."""
    return pooled.join(converged, on=SETTING, how="left", nulls_equal=True, maintain_order="left")
