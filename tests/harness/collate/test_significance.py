"""The one test of differences: against scipy where scores are continuous, against chance where they take few values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, t, ttest_ind, ttest_rel

from harness.collate.significance import LEAST_SEEDS, Array, differences, holm, resolution

NAN = float("nan")
Law = float | tuple[int, float]


def drawn(chance: np.random.Generator, law: Law, shape: tuple[int, ...]) -> Array:
    """Normal scores about ``law``, or shares of n examples that are each right with probability p."""
    if isinstance(law, tuple):
        examples, right = law
        return chance.binomial(examples, right, size=shape) / examples
    return law + chance.normal(size=shape)


def on_other_seeds(one: Array, other: Array) -> tuple[Array, Array]:
    return np.concatenate([one, np.full(other.shape, NAN)], -1), np.concatenate([np.full(one.shape, NAN), other], -1)


def most(reports: int) -> float:
    """How many of so many reports may name a cell where 5 % are meant: more have a probability of one in 10,000."""
    return float(binom.ppf(1 - 1e-4, reports, 0.05))


@pytest.mark.parametrize("cells", [20, 200])
@pytest.mark.parametrize("shared", [True, False], ids=["shared seeds", "other seeds"])
@pytest.mark.parametrize(
    "law", [0.0, (200, 0.5), (200, 0.9), (200, 0.99), (200, 0.999), (10, 0.5), (10, 0.9), (10, 0.99)], ids=str
)
def test_where_nothing_changed_at_most_one_report_in_twenty_names_a_cell(cells: int, shared: bool, law: Law) -> None:
    chance, reports = np.random.default_rng(cells), 20_000 // cells
    every = [drawn(chance, law, (reports, cells, 5)) for _ in range(2)]
    for seeds in (2, 3, 5):
        now, before = (scores[..., :seeds] for scores in every)
        p = differences(*((now, before) if shared else on_other_seeds(now, before))).p
        alarms = sum((holm(one) <= 0.05).any() for one in p)
        assert alarms <= (most(reports) if seeds >= LEAST_SEEDS else 0)


def test_what_did_change_makes_no_alarm_of_what_did_not() -> None:
    chance, reports, alarms = np.random.default_rng(7), 1_000, 0
    now, before = chance.normal(size=(2, reports, 20, 6))
    now[:, :10] += 50
    for p in differences(now, before).p:
        adjusted = holm(p)
        assert (adjusted[:10] <= 0.05).all()
        alarms += (adjusted[10:] <= 0.05).any()
    assert alarms <= most(reports)


@pytest.mark.parametrize("shared", [True, False], ids=["shared seeds", "other seeds"])
def test_the_spread_of_two_sides_may_differ(shared: bool) -> None:
    """Without pairs the means of a quiet and a loud side, of many seeds and few, differ too rarely at most."""
    chance, trials = np.random.default_rng(1), 20_000
    for many, spread in itertools.product((5, 8, 20), (0.05, 1.0, 20.0)):
        one, other = chance.normal(size=(trials, 5)), spread * chance.normal(size=(trials, many))
        if shared:
            other = other[:, :5]
        p = differences(*((one, other) if shared else on_other_seeds(one, other))).p
        assert (p <= 0.05).sum() <= most(trials)
        assert (p <= 0.001).sum() <= binom.ppf(1 - 1e-4, trials, 0.001)


@pytest.mark.parametrize("seeds", [5, 6, 30])
def test_shared_seeds_are_paired_as_scipy_pairs_them(seeds: int) -> None:
    one, other = np.random.default_rng(2).normal(size=(2, seeds))
    found, theirs = differences(one, other), ttest_rel(one, other)
    interval = theirs.confidence_interval(0.95)
    assert found.paired and found.shared == seeds
    assert (found.difference, found.p) == pytest.approx((np.mean(one - other), theirs.pvalue))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_seeds_that_one_side_lacks_are_in_no_pair() -> None:
    one, other = np.random.default_rng(5).normal(size=(2, 9))
    expected = ttest_rel(one[1:7], other[1:7])
    one[0] = other[7:] = NAN
    found = differences(one, other)
    assert found.paired and found.shared == 6
    assert (found.difference, found.p) == pytest.approx((np.mean((one - other)[1:7]), expected.pvalue))


def test_other_seeds_have_the_statistic_of_welch_and_the_freedom_of_the_smaller_side() -> None:
    chance = np.random.default_rng(3)
    one, other = chance.normal(size=5), 3 * chance.normal(size=9) - 2
    found = differences(*on_other_seeds(one, other))
    error = np.sqrt(one.var(ddof=1) / 5 + other.var(ddof=1) / 9)
    theirs = ttest_ind(one, other, equal_var=False)
    assert not found.paired and found.shared == 0
    assert found.p == pytest.approx(2 * t.sf(abs(theirs.statistic), 4)) and found.p > theirs.pvalue
    reach = t.ppf(0.975, 4) * error
    difference = one.mean() - other.mean()
    assert (found.low, found.high) == pytest.approx((difference - reach, difference + reach))


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 9], "nothing"),
        ([1, 2, 3, 4, NAN], [1, 2, 3, 4, 6], "nothing"),
        ([1, 2, 3, 4, 5], [1, 2, 3, 9, 6], "pairs"),
        ([1, 2, 3, 4, 5, NAN], [1, 2, 3, 9, NAN, 6], "means"),
        ([1, 2, 3, 4, 5, 6, NAN], [1, 2, 3, 9, 8, NAN, 6], "pairs"),
        ([1, 2, 3, 4, 5, 6, NAN], [NAN, 2, 3, 9, 8, NAN, 6], "means"),
        ([1, 2, 3, 4, 5, 6, NAN], [NAN, NAN, 3, 9, 8, NAN, 6], "nothing"),
        ([NAN] * 5, [1, 2, 3, 4, 5], "nothing"),
    ],
)
def test_below_five_seeds_nothing_is_tested(one: Sequence[float], other: Sequence[float], kind: str) -> None:
    found = differences(np.array(one, float), np.array(other, float))
    known = {"nothing": False, "pairs": True, "means": True}[kind]
    assert [np.isnan(value) != known for value in (found.p, found.low, found.high)] == [True] * 3
    if known:
        assert found.paired == (kind == "pairs")


def test_the_difference_of_few_shared_seeds_is_theirs() -> None:
    """Not that of the means, to which a seed that one side lacks would add what it differs from the others."""
    found = differences(np.array([1.0, 2.0, NAN]), np.array([1.0, 2.0, 9.0]))
    assert (found.difference, found.shared) == (0, 2) and np.isnan(found.p)
    assert differences(np.array([1.0, NAN]), np.array([NAN, 4.0])).difference == -3


def test_equal_differences_are_no_certainty() -> None:
    """Five seeds that all differ by one example of 200: t = sqrt(5) with four degrees of freedom."""
    before = np.array([0.9, 0.91, 0.9, 0.92, 0.905])
    for moved, unlikely in ((0.005, False), (0.01, True)):
        found = differences(before - moved, before)
        assert found.p == pytest.approx(2 * t.sf(moved / 0.005 * np.sqrt(5), 4))
        assert (found.p <= 0.05) == unlikely
    assert differences(before, before).p == 1
    other = differences(*on_other_seeds(np.full(5, 0.9), np.full(5, 0.895)))
    assert other.p == pytest.approx(2 * t.sf(1 / np.sqrt(2 / 5), 4))


@pytest.mark.parametrize(
    ("one", "other", "step"),
    [
        ([0.9, 0.9, 0.895], [0.9, 0.91, 0.91], 0.005),
        ([0.9, 0.9, NAN], [0.5, 0.5, NAN], 0.1),  # to 1, which a share can reach
        ([0.995, 0.995, 0.995], [1.0, 1.0, 1.0], 0.005),
        ([0.02, 0.02, 0.02], [0.5, 0.5, 0.5], 0.02),  # to 0
        ([12.0, 12.0, 12.0], [7.0, 7.0, 7.0], 5.0),
        ([-12.0, -12.0, -12.0], [-9.0, -9.0, -9.0], 3.0),
        ([0.25, 0.25, 0.25], [1.75, 1.75, 1.75], 0.25),
        ([0.1 + 0.2, 0.3, 0.3], [0.4, 0.4, 0.4], 0.1),  # not 4e-17
        ([0.11, 0.23, 0.48], [0.12, 0.29, 0.41], 0.0),  # nothing ties
        ([0.11, 0.23, 0.48], [0.16, 0.28, 0.53], 0.05),  # the differences tie
        ([NAN, NAN, NAN], [NAN, NAN, NAN], 0.0),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 1.0),
    ],
)
def test_the_resolution_is_the_smallest_step_between_scores(
    one: Sequence[float], other: Sequence[float], step: float
) -> None:
    assert resolution(np.array(one), np.array(other)) == pytest.approx(step)
    assert resolution(np.array(other), np.array(one)) == pytest.approx(step)


@given(st.integers(2, 500), st.integers(0, 2**32 - 1))
def test_the_resolution_is_never_finer_than_one_example(examples: int, seed: int) -> None:
    one, other = np.random.default_rng(seed).binomial(examples, 0.9, size=(2, 5)).astype(np.float32) / examples
    found = resolution(one.astype(float), other.astype(float))
    assert found == 0 or found >= (1 - 1e-3) / examples


def test_a_small_shift_of_continuous_scores_is_found_on_shared_seeds() -> None:
    chance = np.random.default_rng(4)
    before = chance.normal(size=5)
    assert differences(before + 0.01 + 1e-4 * chance.normal(size=5), before).p < 1e-4


@given(st.lists(st.floats(0, 1) | st.just(NAN), max_size=8))
def test_holm_is_that_of_its_definition(values: list[float]) -> None:
    found = holm(np.array(values, float))
    known = sorted(value for value in values if value == value)
    for value, adjusted in zip(values, found, strict=True):
        if value != value:
            assert adjusted != adjusted
            continue
        steps = [(len(known) - place) * p for place, p in enumerate(known) if p <= value]
        assert adjusted == pytest.approx(min(1.0, max(steps)))


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-9, 1e-3, 1e3, 1e9]))
def test_another_unit_of_a_score_changes_no_test(seed: int, unit: float) -> None:
    """Scores that take few values and are no shares."""
    chance = np.random.default_rng(seed)
    one, other = (chance.integers(-5, 6, size=8).astype(float) for _ in range(2))
    one[0], other[0] = -5, 5
    found, scaled = differences(one, other), differences(unit * one, unit * other)
    assert resolution(unit * one, unit * other) == pytest.approx(unit * resolution(one, other))
    assert scaled.p == pytest.approx(found.p)
    assert (scaled.difference, scaled.low, scaled.high) == pytest.approx(
        (unit * found.difference, unit * found.low, unit * found.high), rel=1e-6, abs=1e-9 * unit
    )


def test_the_error_of_pairs_is_of_as_many_as_there_are() -> None:
    """Whatever further seeds either side has."""
    one, other = np.random.default_rng(8).normal(size=(2, 12))
    pairs = differences(one[:6], other[:6])
    one[6:9] = other[9:] = NAN
    more = differences(one, other)
    one[6:9], other[9:] = 5.0, -7.0
    one[9:], other[6:9] = NAN, NAN
    for found in (more, differences(one, other), differences(one[:9], other[:9])):
        assert found.shared == 6 and found.paired
        assert np.array(found[:4], float) == pytest.approx(np.array(pairs[:4], float))
