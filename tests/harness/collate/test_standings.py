"""The rule of places: equal methods share one, different ones do not, and no place is out of order."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, combine_pvalues, ttest_rel

from harness.collate.significance import Array
from harness.collate.standings import Standings, standings

NAN = float("nan")
LAWS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "continuous": lambda chance, shape: chance.normal(size=shape),
    "of several spreads": lambda chance, shape: chance.normal(size=shape) * 9 ** chance.normal(size=(shape[0], 1)),
    "of common chance": lambda chance, shape: chance.normal(size=shape[1:]) + 0.1 * chance.normal(size=shape),
    "200 examples": lambda chance, shape: chance.binomial(200, 0.7, size=shape) / 200,
    "200 examples, near 1": lambda chance, shape: chance.binomial(200, 0.995, size=shape) / 200,
    "10 examples": lambda chance, shape: chance.binomial(10, 0.5, size=shape) / 10,
    "one of two": lambda chance, shape: chance.integers(2, size=shape).astype(float),
}


def of_one_task(scores: Array) -> Standings:
    return standings([scores], np.nanmean(scores, -1))


@pytest.mark.parametrize("methods", [3, 5, 10])
@pytest.mark.parametrize("law", LAWS)
def test_equal_methods_get_different_places_in_one_table_of_twenty_at_most(law: str, methods: int) -> None:
    chance, trials = np.random.default_rng(methods), 40
    for seeds in (2, 3, 5, 10):
        found = [of_one_task(LAWS[law](chance, (methods, seeds))) for _ in range(trials)]
        apart = sum(len(set(one.places)) > 1 for one in found)
        distinguished = sum(one.apart.any() for one in found)
        assert apart <= distinguished <= (binom.ppf(1 - 1e-4, trials, 0.05) if seeds >= 5 else 0)


def test_equal_methods_behind_a_better_one_share_a_place() -> None:
    """The better one sometimes differs from only one of them: equals still share a place."""
    chance, trials = np.random.default_rng(1), 300
    wrong = some = 0
    for _ in range(trials):
        found = of_one_task(chance.normal(size=(4, 6)) + np.array([[2.5], [0.0], [0.0], [0.0]]))
        wrong += len(set(found.places[1:])) > 1
        some += found.apart[0, 1:].any() and not found.apart[0, 1:].all()
    assert some > 75
    assert wrong <= binom.ppf(1 - 1e-4, trials, 0.05)


@pytest.mark.parametrize("methods", [2, 3, 5, 10])
def test_clearly_different_methods_have_places_of_their_own_from_five_seeds_on(methods: int) -> None:
    chance, order = np.random.default_rng(2), np.arange(methods)
    quality = chance.permutation(methods).astype(float)
    for seeds in (5, 10):
        found = of_one_task(quality[:, None] + 0.05 * chance.normal(size=(methods, seeds)))
        assert found.places == list(methods - quality.astype(int))
        assert (found.apart == (order[:, None] != order)).all()
    assert of_one_task(quality[:, None] + 0.05 * chance.normal(size=(methods, 4))).places == [1] * methods


def test_pairs_are_tested_as_scipy_does_and_adjusted_as_holm_does() -> None:
    chance, outcomes = np.random.default_rng(3), set()
    for _ in range(50):
        scores = chance.normal(size=(4, 6)) + chance.uniform(0, 3, size=(4, 1))
        found, pairs = of_one_task(scores), list(itertools.combinations(range(4), 2))
        p = {pair: ttest_rel(scores[pair[0]], scores[pair[1]]).pvalue for pair in pairs}
        for place, pair in enumerate(sorted(pairs, key=lambda one: p[one])):
            if p[pair] * (len(pairs) - place) > 0.05:
                rejected = set(sorted(pairs, key=lambda one: p[one])[:place])
                break
        else:
            rejected = set(pairs)
        assert {pair for pair in pairs if found.apart[pair]} == rejected
        assert (found.apart == found.apart.T).all()
        outcomes.add(len(rejected))
    assert len(outcomes) > 4


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 3))
def test_places_are_in_order_and_only_what_is_told_apart_has_different_ones(
    seed: int, methods: int, tasks: int
) -> None:
    """Whatever seeds are missing and however different the spreads are; and no place could begin that does not."""
    chance = np.random.default_rng(seed)
    quality, spread = 5 * chance.normal(size=(methods, 1)), 10.0 ** chance.uniform(-2, 1, size=(methods, 1))
    scores = [quality + spread * chance.normal(size=(methods, 8)) for _ in range(tasks)]
    for task in scores:
        task[chance.random(size=task.shape) < chance.choice([0, 0.1, 0.4])] = NAN
    values = np.where(chance.random(methods) < 0.1, NAN, np.round(quality[:, 0], 1))
    found = standings(scores, values)
    placed = [n for n in range(methods) if found.places[n] is not None]
    order = sorted(placed, key=lambda n: -values[n])
    places = [found.places[n] or 0 for n in order]
    assert places == sorted(places)
    assert all(place == 1 + sum(other < place for other in places) for place in places)
    assert not np.isnan(values[placed]).any()
    for one, other in itertools.combinations(placed, 2):
        if found.places[one] != found.places[other]:
            assert found.apart[one, other] and values[one] != values[other]
    for at in range(1, len(order)):
        if places[at] == places[at - 1]:
            assert not all(found.apart[one, other] for one in order[:at] for other in order[at:])


def test_a_loud_method_that_nothing_is_told_from_keeps_all_at_its_place() -> None:
    scores = np.random.default_rng(4).normal(size=(3, 5)) * np.array([[0.01], [5.0], [0.01]]) + [[2.0], [1.0], [0.0]]
    found = standings([scores], np.array([2.0, 1.0, 0.0]))
    assert found.places == [1, 1, 1]
    assert found.apart.tolist() == [[False, False, True], [False, False, False], [True, False, False]]
    assert of_one_task(scores[[0, 2]]).places == [1, 2]


@pytest.mark.parametrize("many", [5, 6, 9, 30])
def test_numbers_of_seeds_may_be_unequal(many: int) -> None:
    chance = np.random.default_rng(5)
    scores = 0.05 * chance.normal(size=(3, 30)) + np.array([[3.0], [2.0], [1.0]])
    scores[0, many:] = scores[1, 5:] = NAN
    assert of_one_task(scores).places == [1, 2, 3]
    scores[2] -= scores[2].mean() - scores[1, :5].mean()
    assert of_one_task(scores).places == [1, 2, 2]


@pytest.mark.parametrize(("shared", "places"), [(0, [1, 1]), (1, [1, 1]), (2, [1, 2]), (4, [1, 2]), (5, [1, 2])])
def test_a_pair_that_shares_fewer_than_two_seeds_is_a_tie(shared: int, places: list[int]) -> None:
    scores = np.random.default_rng(6).normal(size=(2, 12)) * 0.01 + np.array([[1.0], [0.0]])
    scores[0, 6:] = scores[1, : 6 - shared] = NAN
    scores[1, 12 - shared :] = NAN
    assert of_one_task(scores).places == places


def test_a_method_with_too_few_seeds_has_no_place_and_takes_none_from_others() -> None:
    scores = np.random.default_rng(7).normal(size=(4, 5)) * 0.01 + np.array([[3.0], [2.0], [1.0], [0.0]])
    scores[0, 4] = scores[2, 1:] = NAN
    found = of_one_task(scores)
    assert found.places == [None, 1, None, 2]
    assert found.apart.sum() == 2
    scores[1, 3:] = NAN  # one method alone has enough: nothing can be compared
    assert of_one_task(scores).places == [1, 1, 1, 1]


def test_what_is_not_ranked_has_no_place_and_is_in_no_pair() -> None:
    scores = np.array([[3.0, 3.1, 3.2, 3.15, 3.05], [1.0, 1.1, 1.25, 1.15, 1.05], [9.0, 9.1, 9.2, 9.3, 9.4]])
    assert standings([scores], np.array([3.1, 1.1, NAN])).places == [1, 2, None]
    assert standings([scores], np.array([NAN, NAN, NAN])).places == [None] * 3
    assert standings([scores[:, :3]], np.array([3.1, NAN, 9.1])).places == [1, None, 1]
    assert standings([scores[:1]], np.array([3.1])).places == [1]
    assert standings([np.empty((2, 0))], np.array([NAN, NAN])).places == [None, None]


def test_seeds_that_all_agree_are_no_proof() -> None:
    steps = np.array([[0.9], [0.895], [0.5]]) * np.ones((3, 5))
    assert of_one_task(steps).places == [1, 1, 3]
    assert of_one_task(np.ones((3, 5))).places == [1, 1, 1]


def test_several_tasks_add_up_as_stouffer_says() -> None:
    chance, outcomes = np.random.default_rng(8), []
    for _ in range(40):
        tasks = list(chance.normal(size=(3, 2, 5)) + np.array([[[1.0], [0.0]]]))
        found = standings(tasks, np.array([1.0, 0.0]))
        one_sided = [ttest_rel(*task, alternative="greater").pvalue for task in tasks]
        total = combine_pvalues(one_sided, method="stouffer").pvalue
        assert found.apart[0, 1] == (total <= 0.025)
        outcomes.append(found.apart[0, 1])
    assert 5 < sum(outcomes) < 35
    better, worse = np.array([[1.0, 1.1, 1.2, 1.15, 1.05], [0.0, 0.11, 0.2, 0.14, 0.07]]), slice(None, None, -1)
    assert standings([better, better], np.array([2.0, 1.0])).places == [1, 2]
    assert standings([better, better[worse]], np.array([2.0, 1.0])).places == [1, 1]


def test_each_task_needs_enough_seeds() -> None:
    full = np.random.default_rng(9).normal(size=(3, 5)) * 0.01 + np.array([[3.0], [2.0], [1.0]])
    partly = full.copy()
    partly[0, 4] = NAN
    assert standings([full, partly], np.array([3.0, 2.0, 1.0])).places == [None, 1, 2]
    assert standings([full, partly[:, :4]], np.array([3.0, 2.0, 1.0])).places == [1, 1, 1]


def test_what_pairs_say_against_the_order_of_the_values_tells_nothing_apart() -> None:
    """The first has the higher mean by seeds of its own; on the seeds that both ran it is worse."""
    shared = np.array([[1.0, 1.1, 1.2, 1.3, 1.4, NAN], [1.5, 1.61, 1.7, 1.79, 1.9, NAN]])
    lucky = shared.copy()
    lucky[0, 5] = 99.0
    assert of_one_task(shared).places == [2, 1]
    assert of_one_task(lucky).places == [1, 1] and not of_one_task(lucky).apart.any()


@given(st.permutations(range(5)))
def test_standings_follow_the_methods(order: list[int]) -> None:
    scores = np.random.default_rng(10).normal(size=(5, 6)) + np.array([[0.0], [3.0], [3.0], [9.0], [0.1]])
    straight, mixed = of_one_task(scores), of_one_task(scores[order])
    assert mixed.places == [straight.places[n] for n in order]
    assert (mixed.apart == straight.apart[np.ix_(order, order)]).all()
