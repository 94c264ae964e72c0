"""Intervals that hold what they promise: coverage on known laws, and the definitions against a public one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import bootstrap, laplace, norm, t, uniform

from harness.collate import bootstrap as bootstrap_module
from harness.collate.bootstrap import (
    RESAMPLES,
    Interval,
    expanded,
    interquartile_intervals,
    interquartile_mean,
    interval,
    mean_ranks,
    probability_of_improvement,
    resampled_seeds,
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


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 100])
def test_expanded_percentiles_give_students_interval_where_the_bootstrap_is_normal(seeds: int) -> None:
    """The bootstrap spreads a mean by sqrt((n - 1) / n) of its standard error, which is what the ends make good."""
    low, high = expanded(seeds)
    assert low == pytest.approx(1 - high, abs=1e-15)
    assert norm.ppf(low) * np.sqrt((seeds - 1) / seeds) == pytest.approx(t.ppf(0.025, seeds - 1))


def test_expanded_percentiles_of_five_seeds_are_these() -> None:
    """t(0.975, 4) = 2.776, times sqrt(5 / 4) = 3.104: 0.0955 % of a normal law lies beyond."""
    assert expanded(5) == pytest.approx((0.000954, 0.999046), abs=1e-6)


def test_ends_are_those_quantiles_of_the_resampled_statistic() -> None:
    values = np.random.default_rng(4).exponential(size=6)
    drawn = [interquartile_mean(values[pick]) for pick in resampled_seeds(6, 0)]
    _, (low,), (high,) = interquartile_intervals(values[None])
    assert len(drawn) == RESAMPLES and (low, high) == pytest.approx(tuple(np.quantile(drawn, expanded(6))))


def test_the_fewest_seeds_of_several_decide_how_far_the_ends_move() -> None:
    strata = [np.arange(30.0), np.array([1.0, 2.0, 4.0]), np.array([7.0])]

    def mean(parts: Sequence[np.ndarray]) -> np.ndarray:
        return np.mean([part.mean(-1) for part in parts], axis=0)

    drawn = mean([part[resampled_seeds(len(part), place)] for place, part in enumerate(strata)])
    assert interval(mean, strata)[1:] == pytest.approx(tuple(np.quantile(drawn, expanded(3))))


def test_ranks_of_unequal_numbers_of_seeds_are_of_the_seeds_that_each_method_has() -> None:
    task = [np.array([1.0, 2.0, 3.0, 4.0, 50.0]), np.array([3.5, 3.5]), np.array([9.0])]
    ranks, low, high = mean_ranks([task])
    assert ranks.tolist() == [3, 2, 1]  # the middle half of the first is 2, 3, 4
    drawn = np.array([interquartile_mean(task[0][pick]) for pick in resampled_seeds(5, 0)])
    of_first = np.select([drawn < 3.5, drawn == 3.5, drawn < 9], [3.0, 2.5, 2.0], 1.0)
    assert (low[0], high[0]) == pytest.approx(tuple(np.quantile(of_first, expanded(2))))
    assert high[2] == np.quantile(np.where(drawn > 9, 2.0, 1.0), expanded(2)[1])


def test_the_interval_of_ranks_is_as_wide_as_the_fewest_seeds_ask_for() -> None:
    """The first beats the second in one draw of a hundred: beyond the ends of 40 seeds, within those of three."""
    first = np.random.default_rng(6).normal(size=40)
    drawn = np.array([interquartile_mean(first[pick]) for pick in resampled_seeds(40, 0)])
    second = np.full(3, np.quantile(drawn, 0.99))
    for others, best in (([second], 1.0), ([np.full(40, second[0])], 2.0), ([second, np.array([-9.0])], 1.0)):
        _, low, high = mean_ranks([[first, *others]])
        assert (low[0], high[0]) == (best, 2.0)


def test_draws_are_the_same_at_every_call_and_other_ones_in_every_task() -> None:
    np.testing.assert_array_equal(resampled_seeds(5, 1), resampled_seeds(5, 1))
    assert (resampled_seeds(5, 0) != resampled_seeds(5, 1)).mean() > 0.7
    assert {*resampled_seeds(3, 0).ravel()} == {0, 1, 2}


def test_the_middle_half_ignores_the_ends() -> None:
    values = np.array([-1e9, 1, 2, 3, 4, 5, 60, 1e9])
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


@pytest.mark.parametrize("groups", [4, 5, 7])
def test_settings_are_resampled_some_at_a_time(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And every one of them has the interval that it has alone."""
    values = np.random.default_rng(7).exponential(size=(groups, 6))
    alone = np.concatenate([interquartile_intervals(one[None]) for one in values], axis=-1)
    monkeypatch.setattr(bootstrap_module, "BLOCK", 2 * RESAMPLES * 6)
    np.testing.assert_array_equal(interquartile_intervals(values), alone)


def test_only_where_no_stratum_has_two_seeds_nothing_is_said() -> None:
    """A stratum of one seed is as it is in every draw."""
    ranks, low, high = mean_ranks([[np.array([1.0]), np.array([2.0])], [np.arange(5.0), np.full(5, 2.5)]])
    assert ranks.tolist() == [2, 1] and not np.isnan([low, high]).any()
    alone = mean_ranks([[np.array([1.0]), np.array([2.0])]])
    assert alone[0].tolist() == [2, 1] and np.isnan(alone[1:]).all()
    assert np.isnan(interval(lambda strata: strata[0].mean(-1), [np.array([1.0])])[1:]).all()
