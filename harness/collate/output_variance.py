"""The table ``output_variance``: the variance of repeated predictions, by the paper's definitions, against k."""

from __future__ import annotations

import polars as pl

from harness.collate.statistics import SETTING_KEYS, count, mean, stderr

MEASURED = ("output_variance", "loss_mean", "loss_variance")


def output_variance(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting, stage (weights as ``initialised`` or as ``trained``) and k (``samples``): means over seeds.

    ``repeats`` is the number of predictions of each example. Only runs whose numbers are all finite are used.
    """
    keys = (*SETTING_KEYS, "train_samples", "stage", "samples")
    return (
        runs.filter(pl.col("status") == "succeeded")
        .select(*SETTING_KEYS, "train_samples", pl.col("output_variance").alias("point"))
        .explode("point", empty_as_null=False)
        .unnest("point")
        .drop_nulls(MEASURED)
        .group_by(*keys, maintain_order=True)
        .agg(
            *(statistic for name in MEASURED for statistic in (mean(name), stderr(name).alias(f"{name}_stderr"))),
            count("samples").alias("seeds"),
            pl.col("repeats").min(),
        )
        .sort("task", "protocol", "method", "size", "setting", "stage", "samples", nulls_last=True)
    )
