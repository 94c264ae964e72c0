"""Intervals that hold what they promise: coverage on known laws, and the definitions against a public one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import bootstrap, laplace, norm, uniform

from harness.collate.bootstrap import (
    Interval,
    interquartile_intervals,
    interquartile_mean,
    interval,
    mean_ranks,
    probability_of_improvement,
)

GROUPS = 2000


@pytest.mark.parametrize("law", [norm, uniform, laplace], ids=["normal", "uniform", "laplace"])
@pytest.mark.parametrize(("seeds", "least"), [(5, 0.90), (10, 0.92), (30, 0.93)])
def test_intervals_cover_the_truth(law: object, seeds: int, least: float) -> None:
    values = law.rvs(size=(GROUPS, seeds), random_state=seeds)  # type: ignore[attr-defined]
    _, low, high = interquartile_intervals(values)
    truth = law.mean()  # type: ignore[attr-defined]  (symmetric laws: the mean of the middle half is the mean)
    covered = np.mean((low <= truth) & (truth <= high))
    assert least <= covered <= 0.985


def test_two_seeds_give_their_range_and_one_gives_none() -> None:
    _, low, high = interquartile_intervals(np.array([[1.0, 3.0], [5.0, 4.0]]))
    np.testing.assert_allclose([low, high], [[1, 4], [3, 5]])
    value, low, high = interquartile_intervals(np.array([[1.0]]))
    assert value == 1 and np.isnan([low, high]).all()


def test_the_middle_half_ignores_the_ends() -> None:
    values = np.array([-1e9, 1, 2, 3, 4, 5, 6, 1e9])
    assert interquartile_mean(values) == np.mean([2, 3, 4, 5])
    assert interquartile_mean(np.array([1.0, 2.0, 9.0])) == 4


def test_agrees_with_the_bootstrap_of_scipy_for_many_seeds() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    _, (low,), (high,) = interquartile_intervals(values[None])
    theirs = bootstrap((values,), interquartile_mean, method="percentile", n_resamples=5000, rng=1)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert abs(low - theirs.confidence_interval.low) < 0.1 * width
    assert abs(high - theirs.confidence_interval.high) < 0.1 * width


def test_seeds_are_resampled_within_their_task() -> None:
    """Two tasks a million apart: pooled seeds would mix them, strata never do."""
    tasks = [np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([1e6, 1e6 + 1, 1e6 + 2])]
    found = interval(lambda strata: np.mean([one.mean(-1) for one in strata], axis=0), tasks)
    assert found.value == 500_001.5
    assert 499_999 < found.low < found.value < found.high < 500_004


def test_improvement_is_counted_on_the_same_seed_and_halves_ties() -> None:
    assert probability_of_improvement([np.array([1.0, -1.0, 0.0, 2.0])]) == 0.625
    sure = interval(probability_of_improvement, [np.full(5, 0.1), np.full(3, 2.0)])
    assert sure == Interval(1, 1, 1)


def test_improvement_of_equal_methods_covers_one_half() -> None:
    draws = np.random.default_rng(1).normal(size=(400, 3, 10))
    found = [interval(probability_of_improvement, list(draw)) for draw in draws]
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) > 0.93


def test_ranks_share_ties_and_their_intervals_hold_the_truth() -> None:
    tied = [np.array([[3.0, 3.0], [3.0, 3.0], [1.0, 1.0]])] * 2
    ranks, low, high = mean_ranks(tied)
    np.testing.assert_allclose([ranks, low, high], [[1.5, 1.5, 3]] * 3)
    quality = np.array([2.0, 1.0, 0.0])[:, None]
    noise = np.random.default_rng(2).normal(size=(4, 3, 8)) * 0.05
    ranks, low, high = mean_ranks([quality + one for one in noise])
    np.testing.assert_allclose([ranks, low, high], [[1, 2, 3]] * 3)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_ranks_follow_the_methods(order: tuple[int, ...]) -> None:
    scores = np.random.default_rng(3).normal(size=(3, 6))
    straight = np.stack(mean_ranks([scores]))
    np.testing.assert_array_equal(np.stack(mean_ranks([scores[list(order)]])), straight[:, order])
