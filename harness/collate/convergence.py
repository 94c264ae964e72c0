"""How curves over group samples k converge: the slope of what chance adds, and how many samples are enough.

Seeds are averaged first, and resampled for the intervals (:mod:`harness.collate.bootstrap`). Only runs whose curve is
complete count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from harness.collate.bootstrap import RESAMPLES, Array, expanded, resampled_seeds

SETTING = ("setting", "source")
"""What tells settings apart, those of imported records from one's own."""

WITHIN = 0.01
LAST = 10.0  # the limit is read off the last decade of k
BLOCK = 4_000_000  # numbers resampled at once: 32 MB

COLUMNS = tuple(
    f"{name}{end}"
    for name in ("samples_needed", "variance_slope", "equivariance_slope")
    for end in ("", "_low", "_high")
)
"""What :func:`convergence` says of a setting, beside its ``limit``."""


def log_slope(x: Array, y: Array) -> Array:
    """The exponent of a power law in ``y`` ``[..., P]`` against ``x`` ``[P]``: least squares in logarithms.

    NaN where a value is not positive, or there are fewer than two.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.log(np.where(y > 0, y, np.nan))
        run = np.log(x) - np.log(x).mean()
        return np.asarray((rise * run).sum(-1) / np.square(run).sum())


def limits(samples: Array, values: Array) -> Array:
    """The limits ``[...]`` for k to infinity of ``values`` ``[..., P]`` at rising ``samples`` ``[P]``.

    What chance adds to the expected metric falls as 1/k (the first term of its expansion in the variance), so it is the
    intercept of least squares against 1/k over the last decade of k, or over all k where that holds one only. Where all
    values are above 0, or below 1, so is the limit: a metric does not go on beyond its bounds.
    """
    last = _last(samples)
    if last.sum() == 1:
        return values[..., -1]
    weights = np.linalg.pinv(np.stack([np.ones(last.sum()), 1 / samples[last]], 1))[0]
    found = values[..., last] @ weights
    found = np.where(values.min(-1) >= 0, np.maximum(found, 0), found)
    return np.asarray(np.where(values.max(-1) <= 1, np.minimum(found, 1), found))


def _last(samples: Array) -> NDArray[np.bool_]:
    """Which k the limit is read off."""
    last = samples >= samples[-1] / LAST
    return last if last.sum() > 1 else np.ones_like(last)


def settled(samples: Array, values: Array) -> NDArray[np.int64]:
    """Places ``[...]`` of the smallest k from which on ``values`` ``[..., P]`` are within 1 % of their limit.

    P where not even the largest k is (the number is censored). Within 1 %: no further from the limit, above or below,
    than 1 % of its size. Of a limit near 0 nothing but 0 is within 1 %: there the size is at least 1 % of how far the
    curve goes, from its first value to the limit.
    """
    rounding = 4 * np.finfo(np.float64).eps * np.abs(values).max(-1, keepdims=True)
    limit = limits(samples, values)
    outside = np.abs(values - limit[..., None]) > _margin(values, limit)[..., None] + rounding
    beyond = np.flip(outside, -1).argmax(-1)  # places from the end to the last value outside
    return np.where(outside.any(-1), values.shape[-1] - beyond, 0)


def _margin(values: Array, limit: Array) -> Array:
    """How far from their limit is within 1 %."""
    return np.asarray(WITHIN * np.maximum(np.abs(limit), WITHIN * np.abs(values[..., 0] - limit)))


def needed(samples: Array, values: Array, errors: Array) -> dict[str, Array]:
    """Samples needed with their intervals, for values and their standard errors ``[G, n, P]`` of n seeds.

    NaN where chance moves the mean over seeds by more than 1 % where its limit is read off: then nothing can be told.
    """
    found = _interval("samples_needed", lambda k, v: np.append(k, np.inf)[settled(k, v)], samples, values)
    noise = np.sqrt(np.square(errors).mean(1)[:, _last(samples)].mean(-1) / values.shape[1])
    mean = values.mean(1)
    blurred = noise > _margin(mean, limits(samples, mean))
    return {name: np.where(blurred, np.nan, number) for name, number in found.items()}


def convergence(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per setting (:data:`SETTING`) of the table ``runs`` that has a curve; null is what cannot be told.

    ``limit`` is that of the metric and ``samples_needed`` the k of :func:`settled`, infinite where it is larger than
    ``samples_most``, the largest that was measured. Slopes are those of :func:`log_slope` against k: Monte Carlo gives
    -1 to the variance and -1/2 to the equivariance error. ``_low`` and ``_high`` end 95 % intervals over seeds, null
    for one seed.
    """
    curves = _curves(runs)
    tables = [
        _frame(curves, ["value"], lambda k, values: {"limit": limits(k, values.mean(1))}),
        _frame(curves, ["value", "value_error"], needed),
        *(
            _frame(curves, [name], lambda k, values, name=name: _interval(f"{name}_slope", log_slope, k, values))
            for name in ("variance", "equivariance")
        ),
    ]
    most = pl.col("samples").list.max().alias("samples_most")
    found = curves.select(*SETTING, most).unique(SETTING, keep="first", maintain_order=True)
    for table in tables:
        found = found.join(table, on=SETTING, how="left", nulls_equal=True)
    missing = [name for name in ("limit", *COLUMNS) if name not in found.columns]
    return found.with_columns(pl.lit(None, pl.Float64).alias(name) for name in missing).select(
        *SETTING, "samples_most", "limit", *COLUMNS
    )


def _interval(name: str, statistic: Callable[[Array, Array], Array], samples: Array, values: Array) -> dict[str, Array]:
    """A statistic of the mean over seeds of curves ``[G, n, P]``, and the ends of its interval over seeds."""
    groups, seeds, points = values.shape
    ends = np.full((2, groups), np.nan)
    if seeds > 1:
        picked = resampled_seeds(seeds, 0)
        weights = (picked[..., None] == np.arange(seeds)).mean(1)  # [RESAMPLES, n]
        step = max(1, BLOCK // (RESAMPLES * points))
        outside = int(expanded(seeds)[0] * (RESAMPLES - 1))
        for start in range(0, groups, step):
            means = values[start : start + step].transpose(2, 0, 1) @ weights.T  # [P, G, RESAMPLES]: P first is faster
            again = np.sort(statistic(samples, np.moveaxis(means, 0, -1)), -1)  # NaN comes last
            # Of numbers that may be infinite none is between two: the interval is widened to the next.
            ends[:, start : start + step] = again[:, outside], again[:, -1 - outside]
    return {name: statistic(samples, values.mean(1)), f"{name}_low": ends[0], f"{name}_high": ends[1]}


class _Pool(NamedTuple):
    """Settings with as many seeds each, at the same k: measures ``[G, n, P]`` at rising ``samples`` ``[P]``."""

    settings: pl.DataFrame
    samples: Array
    measures: list[Array]


def _curves(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per run that has a curve; k and every measure as lists."""
    fields = ("samples", "value", "value_error", "variance", "equivariance")
    return runs.filter((pl.col("status") == "succeeded") & (pl.col("curve").list.len() > 0)).select(
        *SETTING, *(pl.col("curve").list.eval(pl.element().struct.field(name)).alias(name) for name in fields)
    )


def _pools(curves: pl.DataFrame, measures: Sequence[str]) -> Iterator[_Pool]:
    complete = curves.filter(pl.col(name).list.eval(pl.element().is_not_null()).list.all() for name in measures)
    keyed = complete.with_columns(pl.col("samples").cast(pl.List(pl.String)).list.join(",").alias("at"))
    counted = keyed.with_columns(pl.len().over(*SETTING, "at").alias("seeds")).sort(SETTING, maintain_order=True)
    for (_, seeds), rows in counted.group_by("at", "seeds", maintain_order=True):
        samples = rows["samples"][0].to_numpy().astype(float)
        order = samples.argsort(kind="stable")
        lists = (rows[name].list.to_array(len(samples)).to_numpy()[:, order] for name in measures)
        values = [of.reshape(-1, int(seeds), len(samples)) for of in lists]
        yield _Pool(rows.select(SETTING).unique(maintain_order=True), samples[order], values)


def _frame(curves: pl.DataFrame, measures: Sequence[str], numbers: Callable[..., dict[str, Array]]) -> pl.DataFrame:
    parts = [
        pool.settings.hstack(pl.DataFrame(numbers(pool.samples, *pool.measures), nan_to_null=True))
        for pool in _pools(curves, measures)
    ]
    if not parts:
        return curves.select(SETTING).clear()
    return pl.concat(parts).unique(SETTING, keep="first", maintain_order=True)
