"""Whether two sets of scores are told apart: the one test behind ranks and behind what moved.

Scores of shared seeds are paired where there are at least :data:`LEAST_SEEDS`, otherwise the two means are compared as
Welch does, with the smaller number of degrees of freedom of the two sides, which is never too many. A t-test believes
the spread that it sees, and scores that take few values (an accuracy on 200 examples) can agree on all seeds by
chance. So where scores tie, their standard deviation is at least the resolution: the smallest step between values that
occur. With fewer than :data:`LEAST_SEEDS` seeds nothing is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from harness.collate.bootstrap import LEVEL, Array

LEAST_SEEDS = 5
"""With fewer, no claim about chance is made: even the signs of four differences agree by chance in 12 % of cases."""
ROUNDING = 1e-6
"""Differences below this part of the values are of rounding."""

Flags = NDArray[np.bool_]


class Differences(NamedTuple):
    """``difference`` of means with the ends of its 95 % interval and the p-value of "no difference".

    ``difference`` is that of the shared seeds where ``paired``, also where these are too few for a test; then ``low``,
    ``high`` and ``p`` are NaN. ``shared`` counts the seeds that both sides have.
    """

    difference: Array
    low: Array
    high: Array
    p: Array
    paired: Flags
    shared: NDArray[np.int64]


def by_seed(rows: Sequence[Mapping[int, float]]) -> Array:
    """Scores ``[rows, seeds]`` of rows that say them by seed; NaN where a row has none of a seed that another has."""
    seeds = sorted({seed for scores in rows for seed in scores})
    return np.array([[scores.get(seed, np.nan) for seed in seeds] for scores in rows]).reshape(len(rows), len(seeds))


def differences(one: Array, other: Array) -> Differences:
    """``one`` less ``other``, scores ``[..., seeds]`` of the same seeds in the same order, NaN where there is none."""
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
    """``[...]``: the smallest step between different scores of two sides ``[..., seeds]``; 0 where no scores tie.

    0 counts as a score, and 1 where all scores are shares: a metric that takes few values takes these. Where neither
    scores nor their differences tie, a metric has no steps that could hide its spread.
    """
    one, other = np.broadcast_arrays(one, other)
    values = np.concatenate([one, other], -1)
    size = np.max(np.abs(values), -1, initial=0.0, where=~np.isnan(values))
    rounding = ROUNDING * size[..., None]
    shares = (np.min(values, -1, initial=0.0, where=~np.isnan(values)) >= 0) & (size <= 1)
    ends = np.stack([np.zeros(size.shape), np.where(shares, 1.0, np.nan)], -1)
    steps = np.diff(np.sort(np.concatenate([values, ends], -1), -1), axis=-1)  # NaN, last in order, makes no step
    smallest = np.min(np.where(steps > rounding, steps, np.inf), -1)
    ties = np.logical_or.reduce([_ties(each, rounding) for each in (one, other, one - other)])
    return np.where(ties & np.isfinite(smallest), smallest, 0.0)


def holm(p: Array) -> Array:
    """Adjusted p-values (Holm 1979): among all p at most ``LEVEL`` no true "no difference" is, in 95 % of cases.

    NaN counts for nothing and stays NaN.
    """
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
    """Of the values over the last axis (ddof = 1), at least that of ``step``."""
    known = ~np.isnan(values)
    squares = np.sum((values - _mean(values)[..., None]) ** 2, -1, where=known)
    return np.maximum(squares / (known.sum(-1) - 1), step**2)
