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
from harness.collate.ranks import rankings
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


def test_methods_with_unequal_numbers_of_seeds_are_ranked_and_placed(collated: Collated) -> None:
    """Each by the seeds that it has, compared on those that a pair shares; ``seeds`` is the fewest on a task."""
    records = [
        record
        for task in "xy"
        for method, quality, seeds in (("a", 1.0, 9), ("b", 2.0, 5), ("c", 3.0, 6 if task == "x" else 7), ("d", 2.5, 4))
        for record in runs_of(task, {method: quality}, seeds)
    ]
    rows = {row["method"]: row for row in collated(*records).ranks.iter_rows(named=True)}
    assert {name: row["rank"] for name, row in rows.items()} == {"a": 1, "b": 2, "d": 3, "c": 4}
    assert {name: row["place"] for name, row in rows.items()} == {"a": 1, "b": 2, "d": None, "c": 3}
    assert {name: row["seeds"] for name, row in rows.items()} == {"a": 9, "b": 5, "c": 6, "d": 4}
    assert (rows["a"]["tied_with"], rows["d"]["tied_with"]) == (["d"], ["a", "b", "c"])


def test_a_higher_score_is_the_better_one_where_the_metric_says_so(collated: Collated) -> None:
    records = [
        renamed(make_record("exp_classify", "gin", seed=seed, value=value + 0.01 * seed), method=method)
        for method, value in (("a", 0.5), ("b", 0.8), ("c", 0.2))
        for seed in range(5)
    ]
    rows = collated(*records).ranks
    assert rows.select("method", "rank", "place").rows() == [("b", 1, 1), ("a", 2, 2), ("c", 3, 3)]


def test_one_seed_says_nothing_of_others(collated: Collated) -> None:
    rows = collated(run("x", "a", 0, 1.0), run("x", "b", 0, 2.0), run("x", "c", 0, 2.0)).ranks
    assert rows["rank"].to_list() == [1, 2.5, 2.5]
    assert rows["rank_low"].null_count() == rows["rank_high"].null_count() == 3
    assert rows["tied_with"].to_list() == [["b", "c"], ["a", "c"], ["a", "b"]]
    assert rows["place"].to_list() == [1, 1, 1]


def test_a_method_that_misses_a_task_is_not_compared_there_and_named(collated: Collated) -> None:
    both = runs_of("x", {"a": 1, "b": 2, "c": 3}) + runs_of("y", {"a": 1, "b": 2, "c": 3})
    table = collated(*both, *runs_of("x", {"late": 0})).ranks
    first = table.filter(pl.col("ranking") == 1)
    assert first.filter(pl.col("rank").is_null()).select("method", "missing").rows() == [("late", ["y"])]
    second = table.filter(pl.col("ranking") == 2)
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


def test_a_task_counts_with_the_data_on_which_most_methods_have_a_value(collated: Collated) -> None:
    """Runs without a value do not count."""
    of_two = [run("x", name, seed, n, task_params={"nodes": 4}) for n, name in enumerate("ba") for seed in range(5)]
    of_three = [run("x", name, 0, n, task_params={"nodes": 8}) for n, name in enumerate("abc")]
    failed = [run("x", name, 0, None, error="It broke.", task_params={"nodes": 12}) for name in "abcd"]
    rows = collated(*of_two, *of_three, *failed).ranks
    assert rows.filter(pl.col("rank").is_not_null()).select("method", "seeds").rows() == [("a", 1), ("b", 1), ("c", 1)]


def test_of_data_with_as_many_methods_that_with_most_runs_counts(collated: Collated) -> None:
    many = [run("x", name, seed, n, task_params={"nodes": 8}) for n, name in enumerate("cba") for seed in range(2)]
    few = [run("x", name, 0, n, task_params={"nodes": 4}) for n, name in enumerate("abc")]
    rows = collated(*many, *few).ranks
    assert rows.select("method", "seeds").rows() == [("c", 2), ("b", 2), ("a", 2)]


def test_a_setting_that_failed_everywhere_is_no_choice(collated: Collated) -> None:
    records = [run("x", "a", 0, 1.0, settings={"lr": 0.1}), run("x", "a", 0, None, settings={"lr": 9.0}, error="Wild.")]
    rows = {r["method"]: r for r in collated(*records, *runs_of("x", {"b": 2, "c": 3})).ranks.iter_rows(named=True)}
    assert (rows["a"]["rank"], rows["a"]["failed"], rows["a"]["several"]) == (1, 1, [])


def test_scores_count_on_moved_inputs_too(collated: Collated) -> None:
    reads_off = [run("x", "a", seed, 0.0, control=9.0) for seed in range(3)]
    assert collated(*reads_off, *runs_of("x", {"b": 1.0}, seeds=3)).ranks["method"].to_list() == ["b", "a"]


@given(st.dictionaries(st.sampled_from(NAMES), st.frozensets(st.sampled_from("wxyz"))))
def test_rankings_compare_only_what_is_shared_and_leave_nobody_out(ran: Mapping[str, frozenset[str]]) -> None:
    found = rankings({(name, None): tasks for name, tasks in ran.items()})
    for ranking in found:
        assert len(ranking.methods) > 1 and ranking.tasks
        assert {name for name, _ in ranking.methods} == {name for name in ran if ran[name] >= {*ranking.tasks}}
    met = {name for one, other in itertools.permutations(ran, 2) if ran[one] & ran[other] for name in (one, other)}
    assert {name for ranking in found for name, _ in ranking.methods} == met


def test_several_settings_are_no_missing_value(collated: Collated) -> None:
    tuned = [run(task, "a", 0, lr, settings={"lr": lr}) for task in "xy" for lr in (0.1, 0.2)]
    others = runs_of("x", {"b": 2, "c": 3}) + runs_of("y", {"b": 2, "c": 3})
    late = runs_of("x", {"late": 0.0})
    rows = {r["method"]: r for r in collated(*tuned, *others, *late).ranks.filter(ranking=1).iter_rows(named=True)}
    assert (rows["a"]["missing"], rows["a"]["several"]) == ([], ["x", "y"])
    assert (rows["late"]["missing"], rows["late"]["several"]) == (["y"], [])


def test_the_first_ranking_has_the_most_values(collated: Collated) -> None:
    """Six methods on two tasks are more than two methods on three."""
    many = [record for task in "xy" for record in runs_of(task, dict.fromkeys("abcdef", 1.0), seeds=1)]
    few = runs_of("z", {"a": 1.0, "b": 2.0}, seeds=1)
    table = collated(*many, *few).ranks.filter(ranking=1)
    assert table["tasks"].to_list()[0] == ["x", "y"] and table["rank"].count() == 6


def test_imported_runs_of_a_method_are_a_method_of_their_own(collated: Collated, tmp_path: Path) -> None:
    write(tmp_path / "store" / "imported" / "lab-1", *runs_of("x", {"a": 5.0, "b": 6.0}))
    rows = collated(*runs_of("x", {"a": 1.0, "b": 2.0})).ranks
    assert rows.select("method", "source", "rank", "several").rows() == [
        ("a", None, 1, []),
        ("b", None, 2, []),
        ("a", "lab-1", 3, []),
        ("b", "lab-1", 4, []),
    ]


@pytest.mark.parametrize("tasks", list(itertools.permutations("wxyz", 2)), ids="".join)
def test_of_rankings_with_as_many_values_that_of_the_first_task_comes_first(tasks: tuple[str, str]) -> None:
    ran = {(name, None): frozenset(tasks[place // 2]) for place, name in enumerate("abcd")}
    assert [ranking.tasks for ranking in rankings(ran)] == [(task,) for task in sorted(tasks)]


def test_failures_of_a_method_outside_are_those_on_the_tasks_of_the_ranking(collated: Collated) -> None:
    both = [record for task in "xy" for record in runs_of(task, {"a": 1.0, "b": 2.0}, seeds=2)]
    failed = [run(task, "c", seed, None, error="It broke.") for task, n in (("x", 1), ("y", 2)) for seed in range(n)]
    elsewhere = [run("z", "c", 0, None, error="It broke."), *runs_of("x", {"c": 3.0}, seeds=2)[1:]]
    rows = collated(*both, *failed, *elsewhere).ranks.filter(ranking=1, method="c")
    assert rows.select("rank", "seeds", "failed", "missing").rows() == [(None, None, 3, ["y"])]


def test_runs_that_gave_no_value_are_none_that_failed(collated: Collated) -> None:
    table = collated(*runs_of("x", {"a": 1.0, "b": 2.0}, seeds=2), run("x", "a", 7, None)).ranks
    assert table.select("method", "seeds", "failed").rows() == [("a", 2, 0), ("b", 2, 0)]


def test_a_ranking_stands_by_rank_and_equal_ranks_by_name_and_source(collated: Collated, tmp_path: Path) -> None:
    write(tmp_path / "store" / "imported" / "lab-1", *runs_of("x", {"a": 1.0, "d": 0.5}, seeds=1))
    rows = collated(*runs_of("x", {"c": 1.0, "b": 1.0, "a": 1.0}, seeds=1, spread=0)).ranks
    assert rows.select("method", "source").rows()[0] == ("d", "lab-1")
    names = rows.filter(pl.col("source").is_null()).select("method", "rank").rows()
    assert [name for name, _ in names] == ["a", "b", "c"] and len({rank for _, rank in names}) == 1
    first = collated(*runs_of("x", {"c": 1.0, "b": 1.0, "a": 1.0}, seeds=1, spread=0)).ranks["tied_with"][0].to_list()
    assert first == ["a", "a (lab-1)", "b", "c"]
