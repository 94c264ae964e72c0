"""The table ``scaling``: metric, errors, time per example and memory against the size of the group."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from harness.collate.power_law import exponents
from harness.collate.statistics import SETTING, SETTING_KEYS, count, mean, score, score_metric, stderr
from tasks.symmetry.names import dimension, log_order


def scaling(runs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per setting and device, for every task and method that ran on at least two sizes.

    ``mean``, ``score``, their errors and ``seeds`` are over all devices, costs are those of one device. ``series`` is
    equal for settings that differ in size only. Units are seconds per example, bytes and nats. ``log_group_size`` is
    the logarithm of the order of all finite factors of the group and ``group_dimension`` the dimension of all Lie
    groups among them; null if there are none. :func:`with_samples_and_exponents` completes the rows.
    """
    keys = (*SETTING_KEYS, "series")
    quality = {
        "mean": mean("value"),
        "stderr": stderr("value"),
        "seeds": count("value"),
        "score": mean("score"),
        "score_stderr": stderr("score"),
    }
    sizes = pl.col("size").n_unique().over("task", "method")
    return (
        runs.with_columns(score(), score_metric())
        .filter((pl.col("status") == "succeeded") & pl.col("size").is_not_null())
        .filter(sizes >= 2)
        .with_columns(statistic.over(keys).alias(name) for name, statistic in quality.items())
        .group_by(*keys, "device", maintain_order=True)
        .agg(
            pl.col("mean", "stderr", "score_metric", "score", "score_stderr", "test_samples").first(),
            mean("seconds_per_example"),
            stderr("seconds_per_example").alias("seconds_per_example_stderr"),
            mean("peak_memory_bytes"),
            stderr("peak_memory_bytes").alias("peak_memory_bytes_stderr"),
            pl.col("seeds").first(),
        )
        .with_columns(
            _of_group(log_order, pl.Float64).alias("log_group_size"),
            _of_group(lambda names, nodes: dimension(names), pl.Int64).alias("group_dimension"),
        )
        .sort("task", "protocol", "method", "series", "size", "device", nulls_last=True)
    )


def with_samples_and_exponents(pooled: pl.DataFrame, by_samples: pl.DataFrame) -> pl.DataFrame:
    """Adds variance, equivariance error, samples needed and exponents to every row.

    ``variance`` and ``equivariance`` are those at k = 1, ``equivariance_tested`` is that at ``test_samples``, if the
    curve has it. Exponents are fitted over a series (:func:`~harness.collate.power_law.exponents`):
    ``seconds_exponent`` and ``memory_exponent``, on one device, and ``variance_exponent`` against the size;
    ``seconds_group_exponent`` and ``memory_group_exponent`` against the logarithm of the group's order if it grows,
    else against its dimension.

    Args:
        pooled: The table of :func:`scaling`.
        by_samples: The table ``sample_complexity``.
    """
    completed = pooled
    for extra in _of_curves(by_samples, pooled):
        completed = completed.join(extra, on=SETTING, how="left", nulls_equal=True, maintain_order="left")
    series = ("task", "method", "series", "source")
    growing = pl.col("log_group_size").n_unique().over(series) > 1
    of_group = pl.when(growing).then("log_group_size").otherwise("group_dimension")
    measured = completed.with_columns(of_group.cast(pl.Float64).alias("of_group"))
    fits = [
        ((*series, "device"), x, y, f"{cost}{which}_exponent")
        for x, which in (("size", ""), ("of_group", "_group"))
        for y, cost in (("seconds_per_example", "seconds"), ("peak_memory_bytes", "memory"))
    ]
    for by, x, y, name in [*fits, (series, "size", "variance", "variance_exponent")]:
        once = measured.unique([*by, "setting"], keep="first", maintain_order=True)  # a variance has no device
        found = exponents(once, by, x, y, name)
        completed = completed.join(found, on=by, how="left", nulls_equal=True, maintain_order="left")
    return completed


def _of_curves(by_samples: pl.DataFrame, pooled: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """What is read off the curve of each setting: errors of one sample, errors as tested, and the samples needed."""
    error = pl.col("equivariance", "equivariance_stderr")
    yield by_samples.filter(pl.col("samples") == 1).select(*SETTING, "variance", "variance_stderr", error)
    tested = pooled.select(*SETTING, "test_samples").unique(SETTING)
    at_test = by_samples.join(tested, on=SETTING, nulls_equal=True).filter(pl.col("samples") == pl.col("test_samples"))
    yield at_test.select(*SETTING, error.name.replace("equivariance", "equivariance_tested"))
    needed = [name for name in by_samples.columns if name.startswith(("samples_needed", "samples_most"))]
    yield by_samples.select(*SETTING, *needed).unique(SETTING, keep="first")


def _of_group(measure: Callable[[Sequence[str], int], float | None], dtype: type[pl.DataType]) -> pl.Expr:
    """A measure of the group by its factors and the number of nodes, which is the task's ``nodes`` or else its size."""

    def measured(row: Mapping[str, Any]) -> float | None:
        named = json.loads(row["task_params"]).get("nodes")
        nodes = named if isinstance(named, int) and not isinstance(named, bool) else row["size"]
        return measure(row["group"].split(" x "), nodes) if nodes > 0 else None

    return pl.struct("group", "task_params", "size").map_elements(measured, return_dtype=dtype)
