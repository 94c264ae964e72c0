"""Interquartile means and paired comparisons with bootstrap intervals (Agarwal et al. 2021, arXiv 2108.13264).

Seeds are resampled within each stratum (a task, or one setting of it), since tasks are fixed and seeds are random.
Plain percentile intervals are too narrow for few seeds. The percentiles are moved outwards so that they are correct for
a mean of normal values (the expanded percentile interval of Hesterberg 2015, arXiv 1411.5279).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, t, trim_mean

Array = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95
BLOCK = 4_000_000  # numbers that are resampled at a time: 32 MB


class Interval(NamedTuple):
    """An estimate and the ends of its interval, which are NaN if there is only one seed."""

    value: float
    low: float
    high: float


def interquartile_mean(values: Array) -> Array:
    """The mean of the middle half of the values over the last axis; of all values if there are fewer than four."""
    return np.asarray(trim_mean(values, 0.25, axis=-1))


def interquartile_intervals(values: Array) -> tuple[Array, Array, Array]:
    """Interquartile means of settings and their bootstrap intervals.

    Args:
        values: Scores of G settings with n seeds each, ``[G, n]``.

    Returns:
        Means, lower ends and upper ends, ``[G]`` each; the ends are NaN for one seed.
    """
    groups, seeds = values.shape
    estimates = interquartile_mean(values)
    if seeds < 2:
        return estimates, np.full(groups, np.nan), np.full(groups, np.nan)
    picked = resampled_seeds(seeds, 0)
    step = max(1, BLOCK // picked.size)
    parts = [
        np.quantile(interquartile_mean(values[start : start + step][:, picked]), expanded(seeds), axis=-1)
        for start in range(0, groups, step)
    ]
    low, high = np.concatenate(parts, axis=1) if parts else np.empty((2, 0))
    return estimates, low, high


def interval(statistic: Callable[[Sequence[Array]], Array], strata: Sequence[Array]) -> Interval:
    """A statistic of several strata with its bootstrap interval.

    Args:
        statistic: Maps strata with any number of further axes before ``[n]`` to a result with these axes.
        strata: Values ``[n]`` of each stratum, one for each seed. Seeds are resampled within strata.
    """
    value = float(statistic(strata))
    seeds = [len(stratum) for stratum in strata]
    if max(seeds) < 2:
        return Interval(value, math.nan, math.nan)
    again = [stratum[resampled_seeds(len(stratum), place)] for place, stratum in enumerate(strata)]
    few = min(count for count in seeds if count > 1)
    low, high = np.quantile(statistic(again), expanded(few))
    return Interval(value, float(low), float(high))


def probability_of_improvement(differences: Sequence[Array]) -> Array:
    """The probability that one method beats another on the same seed, averaged over tasks; ties count half.

    Args:
        differences: Differences of scores for each task, ``[..., n]``, above 0 if the first method is better.

    Returns:
        ``[...]``.
    """
    per_task = [((one > 0) + 0.5 * (one == 0)).mean(-1) for one in differences]
    return np.asarray(np.mean(per_task, axis=0))


def mean_ranks(scores: Sequence[Sequence[Array]]) -> tuple[Array, Array, Array]:
    """Ranks of methods by interquartile mean, averaged over tasks, and their bootstrap intervals.

    Args:
        scores: For each task the scores ``[n]`` of each of M methods; higher is better. Numbers of seeds may differ.

    Returns:
        Mean ranks, lower ends and upper ends, ``[M]`` each. Rank 1 is the best; equal scores share the mean of their
        ranks.
    """
    ranks = np.mean([_ranks(np.array([interquartile_mean(one) for one in task])) for task in scores], axis=0)
    seeds = {len(one) for task in scores for one in task}
    if max(seeds) < 2:
        return ranks, np.full(len(ranks), np.nan), np.full(len(ranks), np.nan)
    again = [
        _ranks(np.stack([interquartile_mean(one[resampled_seeds(len(one), place)]) for one in task], axis=-1))
        for place, task in enumerate(scores)
    ]
    low, high = np.quantile(np.mean(again, axis=0), expanded(min(seeds - {1})), axis=0)
    return ranks, low, high


def _ranks(scores: Array) -> Array:
    return np.asarray(rankdata(-scores, method="average", axis=-1))


def resampled_seeds(seeds: int, stratum: int) -> NDArray[np.int64]:
    """Indices of seeds drawn with replacement, ``[RESAMPLES, seeds]``, the same at every call."""
    return np.random.default_rng((stratum, seeds)).integers(seeds, size=(RESAMPLES, seeds))


def expanded(seeds: int) -> tuple[float, float]:
    """The two quantiles of the bootstrap distribution that bound the interval of at least two ``seeds``."""
    low = float(norm.cdf(t.ppf((1 - LEVEL) / 2, seeds - 1) * math.sqrt(seeds / (seeds - 1))))
    return low, 1 - low
