"""Ranks: who is compared with whom, against a slow count, and what may be called a tie."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from harness.collate import Tables, collate
from harness.collate.bootstrap import interval, probability_of_improvement, win_probabilities
from harness.collate.ranks import leagues
from harness.records.record import Record
from harness.records.store import Store
from tests.harness.synthetic import make_record, renamed, write

Collated = Callable[..., Tables]
NAMES = "abcde"


@pytest.fixture
def collated(tmp_path: Path) -> Collated:
    def collate_records(*records: Record) -> Tables:
        write(tmp_path / "store", *records)
        return collate(Store(tmp_path / "store"))

    return collate_records


def run(task: str, method: str, seed: int, value: float | None, **more: Any) -> Record:
    return renamed(make_record(seed=seed, value=value, **more), task=task, method=method)


def runs_of(task: str, qualities: Mapping[str, float], seeds: int = 5, spread: float = 0.01) -> list[Record]:
    """Lower is better, each method about its quality."""
    chance = np.random.default_rng(0)
    return [
        run(task, method, seed, quality + spread * chance.normal())
        for method, quality in qualities.items()
        for seed in range(seeds)
    ]


def test_ranks_are_those_of_a_slow_count(collated: Collated) -> None:
    chance = np.random.default_rng(1)
    scores = {(task, method): chance.normal(size=3) for task in "xyz" for method in NAMES}
    table = collated(*(run(*key, seed, v) for key, values in scores.items() for seed, v in enumerate(values))).ranks
    by_task = [rankdata([scores[task, method].mean() for method in NAMES]) for task in "xyz"]
    assert dict(table.select("method", "rank").iter_rows()) == pytest.approx(
        dict(zip(NAMES, np.mean(by_task, axis=0), strict=True))
    )
    assert table["tasks"].to_list() == [["x", "y", "z"]] * 5
    assert (table["rank_low"] <= table["rank"]).all() and (table["rank"] <= table["rank_high"]).all()


def test_a_clear_order_has_no_ties_and_an_equal_pair_is_one(collated: Collated) -> None:
    clear = runs_of("x", {"a": 1.0, "b": 2.0, "c": 3.0}, seeds=8) + runs_of(
        "y", {"a": 1.0, "b": 2.0, "c": 3.0}, seeds=8
    )
    rows = collated(*clear).ranks
    assert rows["method"].to_list() == ["a", "b", "c"]
    assert rows["place"].to_list() == [1, 2, 3]
    assert rows["tied_with"].to_list() == [[], [], []]


def test_methods_that_win_on_every_other_seed_are_tied(collated: Collated) -> None:
    halves = [run("x", "a", seed, float(seed % 2)) for seed in range(8)]
    halves += [run("x", "b", seed, float((seed + 1) % 2) + 1e-3) for seed in range(8)]
    worse = [run("x", "c", seed, 9.0) for seed in range(8)]
    rows = {row["method"]: row for row in collated(*halves, *worse).ranks.iter_rows(named=True)}
    assert (rows["a"]["tied_with"], rows["b"]["tied_with"], rows["c"]["tied_with"]) == (["b"], ["a"], [])
    assert (rows["a"]["place"], rows["b"]["place"], rows["c"]["place"]) == (1, 1, 3)


def test_one_seed_says_nothing_of_others(collated: Collated) -> None:
    rows = collated(run("x", "a", 0, 1.0), run("x", "b", 0, 2.0), run("x", "c", 0, 2.0)).ranks
    assert rows["rank"].to_list() == [1, 2.5, 2.5]
    assert rows["rank_low"].null_count() == rows["rank_high"].null_count() == 3
    assert rows["tied_with"].to_list() == [["b", "c"], ["a", "c"], ["a", "b"]]
    assert rows["place"].to_list() == [1, 1, 1]


def test_a_method_that_misses_a_task_is_not_compared_there_and_named(collated: Collated) -> None:
    both = runs_of("x", {"a": 1, "b": 2, "c": 3}) + runs_of("y", {"a": 1, "b": 2, "c": 3})
    table = collated(*both, *runs_of("x", {"late": 0})).ranks
    first = table.filter(pl.col("league") == 1)
    assert first.filter(pl.col("rank").is_null()).select("method", "missing").rows() == [("late", ["y"])]
    second = table.filter(pl.col("league") == 2)
    assert second["tasks"].to_list() == [["x"]] * 4
    assert second["method"][0] == "late"


def test_failed_runs_are_counted_and_a_method_that_failed_everywhere_is_named(collated: Collated) -> None:
    records = runs_of("x", {"a": 1, "b": 2})
    partly = run("x", "b", 77, None, error="It broke.")
    wholly = run("x", "c", 0, None, error="It broke.")
    rows = {row["method"]: row for row in collated(*records, partly, wholly).ranks.iter_rows(named=True)}
    assert (rows["a"]["failed"], rows["b"]["failed"], rows["b"]["seeds"]) == (0, 1, 5)
    assert (rows["c"]["rank"], rows["c"]["missing"], rows["c"]["failed"]) == (None, ["x"], 1)


def test_the_best_of_several_settings_is_not_picked_by_its_test_score(collated: Collated) -> None:
    tuned = [run("x", "a", 0, lr, settings={"lr": lr}) for lr in (0.1, 0.2)]
    rows = {r["method"]: r for r in collated(*tuned, *runs_of("x", {"b": 2, "c": 3})).ranks.iter_rows(named=True)}
    assert (rows["a"]["rank"], rows["a"]["several"], rows["b"]["rank"]) == (None, ["x"], 1)


def test_a_setting_that_failed_everywhere_is_no_choice(collated: Collated) -> None:
    records = [run("x", "a", 0, 1.0, settings={"lr": 0.1}), run("x", "a", 0, None, settings={"lr": 9.0}, error="Wild.")]
    rows = {r["method"]: r for r in collated(*records, *runs_of("x", {"b": 2, "c": 3})).ranks.iter_rows(named=True)}
    assert (rows["a"]["rank"], rows["a"]["failed"], rows["a"]["several"]) == (1, 1, [])


def test_scores_count_on_moved_inputs_too(collated: Collated) -> None:
    reads_off = [run("x", "a", seed, 0.0, control=9.0) for seed in range(3)]
    assert collated(*reads_off, *runs_of("x", {"b": 1.0}, seeds=3)).ranks["method"].to_list() == ["b", "a"]


@given(st.dictionaries(st.sampled_from(NAMES), st.frozensets(st.sampled_from("wxyz"))))
def test_leagues_compare_only_what_is_shared_and_leave_nobody_out(ran: Mapping[str, frozenset[str]]) -> None:
    found = leagues({(name, None): tasks for name, tasks in ran.items()})
    for league in found:
        assert len(league.methods) > 1 and league.tasks
        assert {name for name, _ in league.methods} == {name for name in ran if ran[name] >= {*league.tasks}}
    met = {name for one, other in itertools.permutations(ran, 2) if ran[one] & ran[other] for name in (one, other)}
    assert {name for league in found for name, _ in league.methods} == met


def test_win_probabilities_are_those_of_every_pair() -> None:
    tasks = [np.random.default_rng(place).normal(size=(3, 6)) for place in (0, 1)]
    values, low, high = win_probabilities(tasks)
    for one, other in itertools.product(range(3), repeat=2):
        pair = interval(probability_of_improvement, [task[one] - task[other] for task in tasks])
        assert (values[one, other], low[one, other], high[one, other]) == pytest.approx(pair)


def test_win_probabilities_count_shared_seeds_only() -> None:
    task = np.array([[1.0, 2.0, np.nan], [0.0, 3.0, 9.0], [np.nan, np.nan, 5.0]])
    values, low, _ = win_probabilities([task])
    assert (values[0, 1], values[1, 2]) == (0.5, 1)
    assert np.isnan([values[0, 2], low[0, 2]]).all()
