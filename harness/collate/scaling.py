"""The table ``scaling``: metric, time per example and memory against the size of the group."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from harness.collate.statistics import SETTING_KEYS, count, mean, stderr
from tasks.symmetry.names import dimension, log_order


def scaling(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting of every task x method that ran on at least two sizes.

    ``series`` is common to settings that differ in size alone. Units: seconds per example, bytes, nats.
    ``log_group_size`` is the logarithm of the number of elements of all finite factors, ``group_dimension`` the
    dimension of all Lie groups among them; null where there are none.
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
        .with_columns(
            _of_group(log_order, pl.Float64).alias("log_group_size"),
            _of_group(lambda names, nodes: dimension(names), pl.Int64).alias("group_dimension"),
        )
        .sort("task", "protocol", "method", "series", "size")
    )


def _of_group(measure: Callable[[Sequence[str], int], float | None], dtype: type[pl.DataType]) -> pl.Expr:
    """The measure of a group by its factors and the number of nodes: what the task calls so, else its size."""

    def measured(row: Mapping[str, Any]) -> float | None:
        nodes = json.loads(row["task_params"]).get("nodes") or row["size"]
        return measure(row["group"].split(" x "), nodes)

    return pl.struct("group", "task_params", "size").map_elements(measured, return_dtype=dtype)
