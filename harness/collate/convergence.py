"""The convergence of curves over the number k of group samples: slopes of errors, and the number of samples needed.

Seeds are averaged first, and resampled for the intervals (:mod:`harness.collate.bootstrap`). Only runs with a complete
curve are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from harness.collate.bootstrap import RESAMPLES, Array, expanded, resampled_seeds
from harness.collate.statistics import SETTING

WITHIN = 0.01
LAST = 10.0  # the limit is estimated from the last decade of k
BLOCK = 4_000_000  # numbers that are resampled at a time: 32 MB

COLUMNS = tuple(
    f"{name}{end}"
    for name in ("samples_needed", "variance_slope", "equivariance_slope")
    for end in ("", "_low", "_high")
)
"""The columns of :func:`convergence` besides ``limit``."""


def log_slope(x: Array, y: Array) -> Array:
    """Fits a power law by least squares in logarithms.

    Args:
        x: Positive values ``[P]``.
        y: ``[..., P]``.

    Returns:
        The exponents ``[...]``; NaN if a value of y is not positive or there are fewer than two.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.log(np.where(y > 0, y, np.nan))
        run = np.log(x) - np.log(x).mean()
        return np.asarray((rise * run).sum(-1) / np.square(run).sum())


def limits(samples: Array, values: Array) -> Array:
    """Estimates limits for k to infinity.

    The error of the expected metric falls as 1/k (the first term of its expansion in the variance). The limit is the
    intercept of a least-squares fit against 1/k over the last decade of k, or over all k if there is only one in it. If
    no value is below 0, or none is above 1, the limit is clipped there too, since metrics have such bounds.

    Args:
        samples: Ascending k, ``[P]``.
        values: ``[..., P]``.

    Returns:
        ``[...]``.
    """
    last = _last(samples)
    if last.sum() == 1:
        return values[..., -1]
    weights = np.linalg.pinv(np.stack([np.ones(last.sum()), 1 / samples[last]], 1))[0]
    found = values[..., last] @ weights
    found = np.where(values.min(-1) >= 0, np.maximum(found, 0), found)
    return np.asarray(np.where(values.max(-1) <= 1, np.minimum(found, 1), found))


def _last(samples: Array) -> NDArray[np.bool_]:
    """True for the k that the limit is estimated from."""
    last = samples >= samples[-1] / LAST
    return last if last.sum() > 1 else np.ones_like(last)


def settled(samples: Array, values: Array) -> NDArray[np.int64]:
    """Finds the smallest k from which on all values are within 1 % of their limit.

    The margin is 1 % of the size of the limit, above or below. For limits near 0 the size is at least 1 % of the
    distance from the first value to the limit, since otherwise only 0 would be within it.

    Args:
        samples: Ascending k, ``[P]``.
        values: ``[..., P]``.

    Returns:
        Indices of k ``[...]``; P (censored) if the value at the largest k is outside the margin.
    """
    rounding = 4 * np.finfo(np.float64).eps * np.abs(values).max(-1, keepdims=True)
    limit = limits(samples, values)
    outside = np.abs(values - limit[..., None]) > _margin(values, limit)[..., None] + rounding
    from_end = np.flip(outside, -1).argmax(-1)  # steps from the end to the last value outside
    return np.where(outside.any(-1), values.shape[-1] - from_end, 0)


def _margin(values: Array, limit: Array) -> Array:
    """The largest distance ``[...]`` from the limit that counts as within 1 %."""
    return np.asarray(WITHIN * np.maximum(np.abs(limit), WITHIN * np.abs(values[..., 0] - limit)))


def needed(samples: Array, values: Array, errors: Array) -> dict[str, Array]:
    """The number of samples needed to be within 1 % of the limit.

    Args:
        samples: Ascending k, ``[P]``.
        values: Metrics of G settings with n seeds each, ``[G, n, P]``.
        errors: Standard errors of the metrics, ``[G, n, P]``.

    Returns:
        ``samples_needed`` and the ends of its interval, ``[G]`` each; NaN if the standard error of the mean over seeds
        exceeds the margin of 1 % at those k that the limit is estimated from.
    """
    found = _interval("samples_needed", lambda k, v: np.append(k, np.inf)[settled(k, v)], samples, values)
    noise = np.sqrt(np.square(errors).mean(1)[:, _last(samples)].mean(-1) / values.shape[1])
    mean = values.mean(1)
    blurred = noise > _margin(mean, limits(samples, mean))
    return {name: np.where(blurred, np.nan, number) for name, number in found.items()}


def convergence(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per setting (:data:`SETTING`) of the table ``runs`` that has a curve; unknown values are null.

    ``limit`` is the limit of the metric, and ``samples_needed`` the k of :func:`settled`, infinite if it is above
    ``samples_most``, the largest k that was measured. Slopes are those of :func:`log_slope` against k; Monte Carlo
    averages have -1 for the variance and -1/2 for the equivariance error. ``_low`` and ``_high`` are the ends of 95 %
    intervals over seeds, null for one seed.
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
            # Numbers may be infinite, so quantiles are not interpolated: the interval is widened to the next number.
            ends[:, start : start + step] = again[:, outside], again[:, -1 - outside]
    return {name: statistic(samples, values.mean(1)), f"{name}_low": ends[0], f"{name}_high": ends[1]}


class _Pool(NamedTuple):
    """G settings with n seeds each and the same k: measures ``[G, n, P]`` at ascending ``samples`` ``[P]``."""

    settings: pl.DataFrame
    samples: Array
    measures: list[Array]


def _curves(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per run that has a curve, with k and every measure as lists."""
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
