"""The best setting beats the default only if a paired test on other seeds says so."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from harness.errors import SuiteError
from harness.records.history import HistoryRow
from harness.records.store import Store
from harness.search.against_default import AgainstDefault, against_default, compared, runs_to_compare
from harness.search.trial_training import SCORE
from tests.harness.synthetic import make_record

SEEDS = [1, 2, 3, 4, 5]
BEST = [0.50, 0.40, 0.62, 0.48, 0.55]
DEFAULT = [0.61, 0.47, 0.70, 0.60, 0.63]


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    found = compared("mse", "min", SEEDS, BEST, DEFAULT)
    test = ttest_rel(BEST, DEFAULT)
    interval = test.confidence_interval(0.95)
    assert found.difference == pytest.approx(-0.092)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    by_hand = 2.7764451 * np.std(np.subtract(BEST, DEFAULT), ddof=1) / math.sqrt(5)
    assert found.high == pytest.approx(-0.092 + by_hand)
    assert found.verdict == "better" and test.pvalue < 0.05
    assert list(found.sentences()) == [
        "The best setting beats the default.",
        "Validation mse over 5 seeds that the search has not used: best 0.51, default 0.602, paired difference -0.092 "
        f"(95 % interval {found.low:.3g} to {found.high:.3g}).",
    ]


@pytest.mark.parametrize(
    ("direction", "best", "default", "verdict"),
    [
        ("max", BEST, DEFAULT, "worse"),
        ("max", DEFAULT, BEST, "better"),
        ("min", BEST, BEST, "no difference found"),
        ("min", BEST, DEFAULT[::-1], "no difference found"),
        ("min", BEST[:4], DEFAULT[:4], "too few seeds"),
        ("min", [*BEST[:4], None], DEFAULT, "too few seeds"),
        ("min", [None] * 5, DEFAULT, "too few seeds"),
        ("min", [*BEST, None, 0.1], [*DEFAULT, 0.1, None], "better"),
    ],
)
def test_a_verdict_needs_five_seeds_on_both_sides(
    direction: str, best: list[float | None], default: list[float | None], verdict: str
) -> None:
    found = compared("mse", direction, range(len(best)), best, default)
    assert found.verdict == verdict
    assert (found.low is None) == (verdict == "too few seeds")
    assert (found.difference is None) == (None not in default and set(best) == {None})
    assert all(sentence.endswith(".") for sentence in found.sentences())


@given(st.lists(st.tuples(*[st.none() | st.floats(0, 1)] * 2), max_size=8), st.sampled_from(["min", "max"]))
def test_the_other_direction_with_the_sides_swapped_is_the_same_verdict(
    scores: list[tuple[float | None, float | None]], direction: str
) -> None:
    best, default = [one for one, _ in scores], [one for _, one in scores]
    found = compared("x", direction, list(range(len(scores))), best, default)
    swapped = compared("x", "max" if direction == "min" else "min", list(range(len(scores))), default, best)
    assert swapped.verdict == found.verdict
    assert AgainstDefault(**json.loads(found.as_json())) == found
    if found.low is not None and found.high is not None and found.difference is not None:
        assert found.low <= found.difference <= found.high
        assert (found.verdict != "no difference found") == (not found.low <= 0 <= found.high)


def test_the_scores_are_those_of_the_records_and_a_failed_run_has_none(searched: Any, tmp_path: Path) -> None:
    search = searched(compare=3)
    store = Store(tmp_path / "store")
    pairs = runs_to_compare(search, {"settings.lr": 0.5})
    assert [(best.spec.seed, best.spec.settings.lr) for best, _ in pairs] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert {default.spec.settings.lr for _, default in pairs} != {0.5}
    for place, job in enumerate(job for pair in pairs for job in pair):
        record = make_record(error="It broke." if place == 2 else None)
        values = {**record.to_dict(), "spec": job.spec.to_dict(), "digest": job.spec.digest}
        store.write(
            type(record).from_dict(values), [HistoryRow(4, SCORE, 0.9, 1.0), HistoryRow(7, SCORE, place / 10, 2.0)]
        )
    found = against_default(search, store, {"settings.lr": 0.5})
    assert found is not None and found.direction == "max"
    assert (found.best, found.default) == ([0.0, None, 0.4], [0.1, 0.3, 0.5])
    assert found.difference == pytest.approx(-0.1)


def test_a_best_that_is_the_default_needs_no_runs(searched: Any, tmp_path: Path) -> None:
    search = searched(settings={"epochs": 8, "batch_size": 20, "validate_every": 1, "lr": 0.5})
    assert runs_to_compare(search, {"settings.lr": 0.5}) == []
    found = against_default(search, Store(tmp_path / "store"), {"settings.lr": 0.5})
    assert found is not None and list(found.sentences()) == ["The best setting is the default."]
    assert against_default(searched(compare=0), Store(tmp_path / "store"), {"settings.lr": 0.5}) is None


def test_the_runs_of_the_comparison_are_counted_and_have_no_seed_of_the_search(searched: Any) -> None:
    search = searched(seed=2, compare=4)
    assert search.other_seeds(4) == [0, 1, 3, 4]
    assert search.most_runs == search.trials + 8


def test_a_default_that_cannot_be_run_is_refused_before_anything_starts(searched: Any) -> None:
    changes = {"method": "egnn", "task": "nbody", "task_params": {"train": 50}, "base": {}, "settings": {"epochs": 8}}
    assert searched(**changes, space={"settings.batch_size": {"integer": [10, 40]}}, compare=0)
    with pytest.raises(SuiteError, match=r"the default cannot be run: .*set compare: 0"):
        searched(**changes, space={"settings.batch_size": {"integer": [10, 40]}})
