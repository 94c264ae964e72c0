"""The significance test for two sets of scores, used for ranks and for regressions.

With at least :data:`LEAST_SEEDS` shared seeds the test is a paired t-test. Otherwise the means are compared as in
Welch's test, with the degrees of freedom of the smaller side, which is conservative. Scores that take few values (an
accuracy on 200 examples) can agree on all seeds by chance, and a t-test would then assume no spread. If scores tie,
their standard deviation is therefore at least the resolution, the smallest step between values that occur. With fewer
than :data:`LEAST_SEEDS` seeds nothing is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from harness.collate.bootstrap import LEVEL, Array

LEAST_SEEDS = 5
"""With fewer seeds nothing is tested: the signs of four differences agree by chance in 12 % of cases."""
ROUNDING = 1e-6
"""Relative differences below this are rounding errors."""

Flags = NDArray[np.bool_]


class Differences(NamedTuple):
    """Differences of mean scores and their significance.

    Attributes:
        difference: Difference of means, over the shared seeds if ``paired``.
        low: Lower end of the 95 % interval; NaN if there are too few seeds for a test.
        high: Upper end of the interval.
        p: The two-sided p-value of the hypothesis of no difference; NaN if there are too few seeds for a test.
        paired: True if only shared seeds were compared.
        shared: Number of seeds that both sides have.
    """

    difference: Array
    low: Array
    high: Array
    p: Array
    paired: Flags
    shared: NDArray[np.int64]


def by_seed(rows: Sequence[Mapping[int, float]]) -> Array:
    """Arranges scores as ``[rows, seeds]``; NaN if a row has no score of a seed."""
    seeds = sorted({seed for scores in rows for seed in scores})
    return np.array([[scores.get(seed, np.nan) for seed in seeds] for scores in rows]).reshape(len(rows), len(seeds))


def differences(one: Array, other: Array) -> Differences:
    """Tests the differences ``one`` minus ``other``.

    Args:
        one: Scores ``[..., seeds]``; NaN if there is none.
        other: Scores of the same seeds in the same order.
    """
    gaps = one - other
    n, m, shared = (np.sum(~np.isnan(values), -1) for values in (one, other, gaps))
    apart = np.minimum(n, m) >= LEAST_SEEDS
    paired = (shared >= LEAST_SEEDS) | ((shared > 0) & ~apart)
    enough = (shared >= LEAST_SEEDS) | apart
    step = resolution(one, other)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_pairs = _variance(gaps, step) / shared
        of_means = _variance(one, step) / n + _variance(other, step) / m
        difference = np.where(paired, _mean(gaps), _mean(one) - _mean(other))
        error = np.sqrt(np.where(paired, of_pairs, of_means))
        freedom = np.where(enough, np.where(paired, shared, np.minimum(n, m)) - 1.0, np.nan)
        p = np.where(difference == 0, np.where(enough, 1.0, np.nan), 2 * t.sf(np.abs(difference) / error, freedom))
    reach = t.ppf((1 + LEVEL) / 2, freedom) * error
    return Differences(difference, difference - reach, difference + reach, p, paired, shared)


def resolution(one: Array, other: Array) -> Array:
    """The smallest step between different scores of two sides, a lower bound on the spread of metrics with few values.

    0 counts as a score, and so does 1 if all scores are in [0, 1], since metrics with few values take these values.

    Args:
        one: Scores ``[..., seeds]``.
        other: Scores of the same seeds.

    Returns:
        ``[...]``; 0 if neither scores nor their differences tie.
    """
    one, other = np.broadcast_arrays(one, other)
    values = np.concatenate([one, other], -1)
    size = np.max(np.abs(values), -1, initial=0.0, where=~np.isnan(values))
    rounding = ROUNDING * size[..., None]
    shares = (np.min(values, -1, initial=0.0, where=~np.isnan(values)) >= 0) & (size <= 1)
    ends = np.stack([np.zeros(size.shape), np.where(shares, 1.0, np.nan)], -1)
    steps = np.diff(np.sort(np.concatenate([values, ends], -1), -1), axis=-1)  # NaN is sorted last and gives no step
    smallest = np.min(np.where(steps > rounding, steps, np.inf), -1)
    ties = np.logical_or.reduce([_ties(each, rounding) for each in (one, other, one - other)])
    return np.where(ties & np.isfinite(smallest), smallest, 0.0)


def holm(p: Array) -> Array:
    """P-values adjusted for multiple tests (Holm 1979): they bound the family-wise error rate. NaN is ignored."""
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def _ties(values: Array, rounding: Array) -> Flags:
    return np.asarray((np.diff(np.sort(values, -1), axis=-1) <= rounding).any(-1))


def _mean(values: Array) -> Array:
    known = ~np.isnan(values)
    return np.asarray(np.sum(values, -1, where=known) / known.sum(-1))


def _variance(values: Array, step: Array) -> Array:
    """The variance over the last axis (ddof = 1), at least ``step`` squared."""
    known = ~np.isnan(values)
    squares = np.sum((values - _mean(values)[..., None]) ** 2, -1, where=known)
    return np.maximum(squares / (known.sum(-1) - 1), step**2)
