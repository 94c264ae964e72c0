"""The table ``costs``: time and memory of a setting on each device that it ran on."""

from __future__ import annotations

import polars as pl

from harness.collate.statistics import SETTING_KEYS, count, mean


def costs(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting, device and number of seeds trained at once (``stack``), over succeeded runs.

    ``device`` is that of :func:`~harness.records.devices.device_of`. Time and memory of a prediction are pooled over
    all runs on the device, whose number is ``cost_seeds``. Training times are shares of a stack's, so stacks of another
    size have a row of their own. Units are seconds and bytes. Costs that do not depend on the device (parameters,
    operations) are in ``accuracy``.
    """
    device = (*SETTING_KEYS, "device")
    predicting = ("seconds_per_example", "peak_memory_bytes", "cost_seeds")
    return (
        runs.filter(pl.col("status") == "succeeded")
        .with_columns(
            mean("seconds_per_example").over(device),
            pl.col("peak_memory_bytes").max().over(device),
            count("digest").over(device).alias("cost_seeds"),
        )
        .group_by(*device, "stack", maintain_order=True)
        .agg(
            pl.col(predicting).first(),
            mean("train_seconds"),
            mean("train_examples_per_second"),
        )
        .sort("task", "protocol", "method", "size", "setting", "device", "stack", nulls_last=True)
    )
