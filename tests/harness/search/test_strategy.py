"""What Tune makes of a search, without a cluster: proposals and early stops."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from harness.search.model import Search
from harness.search.strategy import strategy


def stopped_at(search: Search, scores: Mapping[str, float]) -> dict[str, int]:
    """After how many epochs each trial is stopped, of trials one after the other that score the same in every epoch."""
    config = strategy(search, [], None)
    config.scheduler.set_search_properties(config.metric, config.mode)
    ends = {}
    for name, score in scores.items():
        one = SimpleNamespace(trial_id=name, config={})
        config.scheduler.on_trial_add(None, one)
        decisions = (
            config.scheduler.on_trial_result(None, one, {"epochs": epoch, "score": score, "training_iteration": epoch})
            for epoch in range(1, search.example.spec.settings.epochs + 1)
        )
        ends[name] = next((epoch for epoch, verdict in enumerate(decisions, 1) if verdict == "STOP"), 0)
    return ends


def test_of_a_metric_that_is_to_be_high_low_trials_are_stopped_and_never_before_the_grace(searched: Any) -> None:
    scores = {"middle": 0.5, "low": 0.1, "high": 0.9, "lowest": 0.0}
    assert stopped_at(searched(), scores) == {"middle": 8, "low": 2, "high": 8, "lowest": 2}
    assert stopped_at(searched(grace=4), scores) == {"middle": 8, "low": 4, "high": 8, "lowest": 4}
    assert stopped_at(searched(metric="loss"), scores) == {"middle": 8, "low": 8, "high": 2, "lowest": 8}
    assert stopped_at(searched(scheduler="none"), scores) == dict.fromkeys(scores, 0)


def test_a_larger_reduction_stops_more(searched: Any) -> None:
    scores = {str(place): place / 10 for place in (5, 9, 8, 7, 6, 4)}
    kept = {n: sum(end == 8 for end in stopped_at(searched(reduction=n), scores).values()) for n in (1.25, 4)}
    assert kept[1.25] > kept[4] >= 1


def test_there_are_as_many_trials_as_asked_for_and_no_more_at_once_than_slots(searched: Any) -> None:
    config = strategy(searched(trials=7), [], 3)
    assert (config.num_samples, config.max_concurrent_trials, config.metric) == (7, 3, "score")


def suggestions(search: Search, points: list[dict[str, Any]], many: int) -> list[float]:
    algorithm = strategy(search, points, None).search_alg
    found = [algorithm.suggest(str(place)) for place in range(many)]
    return [search.points.values(one)["settings.lr"] for one in found]


def test_what_was_proposed_is_proposed_again_and_the_rest_is_new(searched: Any) -> None:
    search = searched(algorithm="random")
    first = suggestions(search, [], 3)
    again = suggestions(search, [{"settings.lr": lr} for lr in first], 6)
    assert again[:3] == first
    assert len({*again}) == 6
    assert suggestions(searched(algorithm="random", seed=1), [], 3) != first
    assert all(1e-4 <= lr <= 1.0 for lr in again)


@pytest.mark.parametrize("algorithm", ["tpe", "random"])
def test_a_space_of_choices_is_searched_whole_and_no_point_twice(searched: Any, algorithm: str) -> None:
    """Without another draw, TPE proposes one of these points 15 times in 24 proposals."""
    space = {"base.width": {"choice": [4, 8, 16, 32, 64, 128]}, "base.layers": {"integer": [1, 4]}}
    search = searched(algorithm=algorithm, space=space, trials=24)
    before = [{"base.width": 8, "base.layers": 1}, {"base.width": 16, "base.layers": 4}]
    suggester, found = strategy(search, before, None).search_alg, []
    suggester.set_search_properties("score", "max", {})
    for place in range(24):
        values = search.points.values(suggester.suggest(str(place)))
        found.append(tuple(sorted(values.items())))
        suggester.on_trial_complete(str(place), {"score": float(values["base.width"])})
    assert found[:2] == [tuple(sorted(values.items())) for values in before]
    assert len(set(found)) == 24


@pytest.mark.parametrize("metric", [None, "loss"])
def test_optuna_learns_which_way_is_better(searched: Any, metric: str | None) -> None:
    algorithm = strategy(searched(metric=metric, trials=40), [], None).search_alg
    lrs = []
    for place in range(40):
        lr = algorithm.suggest(str(place))["settings.lr"]
        algorithm.on_trial_complete(str(place), {"score": lr, "epochs": 8, "training_iteration": 8})
        lrs.append(lr)
    late = sum(lrs[25:]) / 15
    assert late > 0.75 if metric is None else late < 0.25
