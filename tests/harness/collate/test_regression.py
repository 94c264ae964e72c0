"""What moved: known shifts are found, chance is not, and what cannot be compared is listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom, ttest_rel

from harness.bundles.exporting import export
from harness.bundles.reference import reference_runs
from harness.collate.regression import regression
from harness.errors import SymbenchError
from harness.records.record import Record
from harness.records.store import Store
from harness.report.sections.regression import regression_section
from harness.spec import NEUTRAL
from tests.harness.synthetic import make_record, renamed, write


def runs_of(folder: Path, *records: Record) -> pl.DataFrame:
    write(folder, *records)
    return reference_runs(folder)


def records(values: Sequence[float | None], first_seed: int = 0, method: str = "a", **more: Any) -> list[Record]:
    return [
        renamed(make_record(seed=first_seed + n, value=value, **more), method=method) for n, value in enumerate(values)
    ]


def moved(tmp_path: Path, now: Sequence[Record], before: Sequence[Record]) -> list[dict[str, Any]]:
    return regression(runs_of(tmp_path / "now", *now), runs_of(tmp_path / "before", *before)).to_dicts()


def test_shared_seeds_are_paired_as_scipy_pairs_them(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    before = chance.normal(size=6)
    now = before + 0.3 + 0.1 * chance.normal(size=6)
    (row,) = moved(tmp_path, records(now), records(before))
    theirs = ttest_rel(now, before)
    assert row["paired"] and row["change"] == "worse"  # an error: lower is better
    assert row["p"] == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_other_seeds_are_not_paired(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    before, now = chance.normal(size=5), chance.normal(size=7) * 3 - 20
    (row,) = moved(tmp_path, records(now, first_seed=100), records(before))
    assert not row["paired"] and row["change"] == "better"
    assert row["difference"] == pytest.approx(now.mean() - before.mean())
    assert (row["seeds_now"], row["seeds_before"]) == (7, 5)


def report_of(now: np.ndarray, before: np.ndarray, shared: bool = True, direction: str = "max") -> pl.DataFrame:
    """The regression of ``[cells, seeds]`` scores."""
    return regression(_frame(now, direction), _frame(before, direction, first_seed=0 if shared else 100))


def _frame(values: np.ndarray, direction: str, first_seed: int = 0) -> pl.DataFrame:
    cells, seeds = values.shape
    names = np.repeat([f"m{cell:03}" for cell in range(cells)], seeds)
    same: dict[str, Any] = {
        "source": None,
        "task": "t",
        "protocol": "p",
        "task_params": "{}",
        "metric": "m",
        "direction": direction,
        "setting_label": None,
        "spec_json": "{}",
        "control_name": None,
        "status": "succeeded",
    }
    frame = pl.DataFrame({"setting": names, "method": names, "value": values.ravel()})
    return frame.with_columns(
        pl.Series("seed", np.tile(np.arange(seeds) + first_seed, cells)),
        pl.lit(None, pl.Float64).alias("control"),
        *(pl.lit(value, pl.String).alias(name) for name, value in same.items()),
    )


@pytest.mark.parametrize("cells", [20, 200])
@pytest.mark.parametrize("shared", [True, False], ids=["shared seeds", "other seeds"])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_of_reports_with_nothing_changed_one_in_twenty_names_a_cell(seeds: int, shared: bool, cells: int) -> None:
    """A quarter of the cells each: accuracies near 0.5 and near 1, continuous scores, runs that repeat themselves."""
    chance, reports, alarms = np.random.default_rng(seeds), 30, 0
    for _ in range(reports):
        now, before = (
            np.concatenate(
                [
                    chance.binomial(200, 0.5, size=(cells // 4, seeds)) / 200,
                    chance.binomial(200, 0.995, size=(cells // 4, seeds)) / 200,
                    chance.normal(size=(cells // 4, seeds)),
                    np.full((cells // 4, seeds), 0.75),
                ]
            )
            for _ in range(2)
        )
        found = report_of(now, before, shared)
        alarms += found["change"].is_in(["better", "worse"]).any()
        assert (found["change"] == "same").sum() >= cells // 4
    assert alarms <= binom.ppf(1 - 1e-4, reports, 0.05)


@pytest.mark.parametrize("examples", [200, 2_000])
@pytest.mark.parametrize("shared", [True, False], ids=["shared seeds", "other seeds"])
def test_a_real_drop_is_found_among_twenty_cells(shared: bool, examples: int) -> None:
    chance = np.random.default_rng(5)
    for _ in range(10):
        now, before = (chance.binomial(examples, 0.9, size=(20, 5)) / examples for _ in range(2))
        now[3] = chance.binomial(examples, 0.5, size=5) / examples
        found = report_of(now, before, shared)
        assert found.filter(pl.col("method") == "m003")["change"].to_list() == ["worse"]
    now, before = np.full((20, 5), 0.9), np.full((20, 5), 0.9)
    now[3] = 0.5
    assert dict(report_of(now, before).select("method", "change").iter_rows())["m003"] == "worse"


@pytest.mark.parametrize(("direction", "change"), [("max", "better"), ("min", "worse")])
def test_all_cells_are_looked_at_at_once(direction: str, change: str) -> None:
    """What would have moved as the only cell has not among two hundred; the raw p is the same."""
    chance = np.random.default_rng(6)
    now, before = chance.normal(size=(2, 200, 5))
    now[0] = before[0] + 1 + 0.35 * chance.normal(size=5)
    alone, among = report_of(now[:1], before[:1], direction=direction), report_of(now, before, direction=direction)
    (row,) = among.filter(pl.col("method") == "m000").to_dicts()
    assert alone["change"].to_list() == [change] and alone["adjusted"].to_list() == alone["p"].to_list()
    assert row["change"] == "within noise" and row["p"] == alone["p"][0] < 0.05
    assert row["adjusted"] >= 0.05
    outside = ((among["low"] > 0) | (among["high"] < 0)).sum()
    assert 1 < outside < 30
    assert f" {outside} further 95 % intervals without 0 " in regression_section(among, "before").sentences[2]


def test_two_seeds_with_equal_differences_are_too_few(tmp_path: Path) -> None:
    (row,) = moved(tmp_path, records([1.5, 2.5]), records([1.0, 2.0]))
    assert (row["change"], row["difference"], row["low"], row["p"]) == ("too few seeds", 0.5, None, None)
    (row,) = moved(tmp_path / "one", records([1.0]), records([2.0]))
    assert (row["change"], row["low"], row["p"]) == ("too few seeds", None, None)


def test_the_same_numbers_and_rounding_are_the_same(tmp_path: Path) -> None:
    values = [1.0, 2.0, 3.0]
    (row,) = moved(tmp_path, records(values), records(values))
    assert (row["change"], row["difference"], row["p"]) == ("same", 0, None)
    large = [1e6 * value for value in values]
    (row,) = moved(tmp_path / "again", records([value * (1 + 1e-7) for value in large]), records(large))
    assert row["change"] == "same"
    for scale in (1e-5, 1.0, 1e6):
        scaled = [scale * value for value in values]
        (row,) = moved(tmp_path / f"{scale}", records([value * (1 + 1e-5) for value in scaled]), records(scaled))
        assert row["change"] == "too few seeds"


def test_seeds_that_one_side_lacks_do_not_move_the_others(tmp_path: Path) -> None:
    (row,) = moved(tmp_path, records([1.0, 2.0]), records([1.0, 2.0, 99.0]))
    assert (row["change"], row["difference"]) == ("same", 0)


def test_imported_runs_stay_out() -> None:
    values = np.random.default_rng(7).normal(size=(1, 5))
    theirs = _frame(values - 50, "max").with_columns(pl.lit("lab").alias("source"))
    both = pl.concat([_frame(values, "max"), theirs])
    for now, before in ((both, _frame(values, "max")), (_frame(values, "max"), both)):
        (row,) = regression(now, before).to_dicts()
        assert (row["change"], row["seeds_now"], row["seeds_before"]) == ("same", 5, 5)


def test_lost_and_gained_values_are_counted_with_their_failures(tmp_path: Path) -> None:
    broken = records([None, None], error="It broke.")
    (row,) = moved(tmp_path, broken, records([1.0, 2.0]))
    assert (row["change"], row["failed_now"], row["failed_before"], row["seeds_now"]) == ("lost", 2, 0, 0)
    (row,) = moved(tmp_path / "back", records([1.0, 2.0]), broken)
    assert row["change"] == "gained"


def test_other_settings_are_not_compared_and_what_changed_is_said(tmp_path: Path) -> None:
    before = records([1.0, 1.1], settings={"lr": 0.5})
    gone = records([1.0, 1.1], method="gone")
    found = moved(tmp_path, records([9.0, 9.1], settings={"lr": 0.25}), [*before, *gone])
    assert [(row["change"], row["method"], row["why"]) for row in found] == [
        ("only before", "a", "there lr=0.25"),
        ("only before", "gone", None),
        ("only now", "a", "there lr=0.5"),
    ]


def test_scores_on_moved_inputs_count(tmp_path: Path) -> None:
    values = [1.0, 1.1, 1.2, 1.05, 1.15]
    sound, unsound = records(values), records(values, control=5.0)
    (row,) = moved(tmp_path, unsound, sound)
    assert row["change"] == "worse"


def test_readers_get_what_moved_first_and_the_counts(tmp_path: Path) -> None:
    values = [1.0, 1.1, 1.3, 1.25, 1.05]
    now = [*records([2.0, 2.1, 2.3, 2.25, 2.05]), *records(values, method="b"), *records([1.0, 1.1, 1.2], method="c")]
    now += [
        *records([None], first_seed=9, method="c", error="It broke."),
        *records([1.0, 9.1, 2.0, 5.0, 3.0], method="d"),
    ]
    before = [*records(values), *records(values, method="b"), *records([2.0, 1.1], method="c")]
    before += records([9.0, 1.1, 3.0, 2.5, 3.5], method="d")
    runs = runs_of(tmp_path / "now", *now), runs_of(tmp_path / "before", *before)
    section = regression_section(regression(*runs), "before")
    assert section.regressed
    shown = [[cell.text for cell in row[:2]] for row in section.table.rows]
    assert shown == [["a", "worse"], ["c", "too few seeds"]]
    few = section.table.rows[1][8]
    assert (few.text, few.note) == ("-0.5000", "no interval: too few seeds")
    assert [cell.text for cell in section.table.rows[1][6:8]] == ["1.550", "1.100"]
    assert [cell.text for cell in section.table.rows[1][10:]] == ["2 → 3", "0 → 1"]
    assert section.sentences[:2] == ("Regression: 1 result is significantly worse.", "4 results in both: 1 worse.")
    assert section.sentences[2].startswith("3 differences tested at once") and "Holm" in section.sentences[2]
    assert section.sentences[3] == (
        "1 result with another value but too few seeds to test the difference: 5 are needed on both sides."
    )
    same = regression_section(regression(runs_of(tmp_path / "now"), runs_of(tmp_path / "now")), "now")
    assert not same.regressed
    assert same.sentences[:2] == (
        "No regression found: no result is significantly worse or lost.",
        "4 results in both: no change beyond noise.",
    )


def test_earlier_results_may_be_a_store_several_or_a_bundle(tmp_path: Path) -> None:
    one, other = records([1.0, 2.0]), records([3.0], method="b")
    write(tmp_path / "all" / "one", *one)
    write(tmp_path / "all" / "other", *other)
    assert reference_runs(tmp_path / "all")["value"].to_list() == [1, 2, 3]
    store = Store(tmp_path / "all" / "one")
    export(store, tmp_path / "one.zip")
    assert reference_runs(tmp_path / "one.zip")["digest"].to_list() == [record.digest for record in one]
    with pytest.raises(SymbenchError, match="neither a store nor a bundle"):
        reference_runs(tmp_path / "nothing")


def test_what_is_worse_comes_first_and_what_is_lost_is_a_regression(tmp_path: Path) -> None:
    values = np.array([1.0, 1.1, 1.3, 1.25, 1.05])
    sides = {"a": (values - 0.5, values), "b": (values + 0.5, values), "c": (values, values)}
    now, before = ([r for m, pair in sides.items() for r in records([*pair[n]], method=m)] for n in (0, 1))
    now += [*records([None], method="lost", error="It broke."), *records([1.0], method="new")]
    before += [*records([1.0], method="lost"), *records([1.0], method="old")]
    found = moved(tmp_path, now, before)
    assert [row["change"] for row in found] == ["worse", "lost", "better", "only before", "only now", "same"]
    section = regression_section(pl.DataFrame(found[1:]), "before")
    assert section.regressed  # what is lost alone
    assert section.sentences[:2] == ("Regression: 1 result is lost.", "3 results in both: 1 lost, 1 better.")
    assert not regression_section(pl.DataFrame(found[2:]), "before").regressed
    both = regression_section(pl.DataFrame(found), "before")
    assert both.sentences[0] == "Regression: 1 result is significantly worse and 1 result is lost."


def test_results_that_have_no_run_now_are_counted_and_listed_on_request(tmp_path: Path) -> None:
    found = regression(
        runs_of(tmp_path / "now", *records([1.0], method="new")),
        runs_of(tmp_path / "before", *records([1.0], method="old")),
    )
    section, full = (regression_section(found, "before", only_before=asked) for asked in (False, True))
    assert [row[0].text for row in section.table.rows] == ["new"]
    assert [row[0].text for row in full.table.rows] == ["old", "new"]
    assert section.sentences[0].startswith("Nothing to compare")
    assert section.sentences[2].startswith("1 result only before (--only-before lists them): ")
    assert full.sentences[2].startswith("1 result only before: ")


def test_a_verdict_names_results_that_could_not_be_tested(tmp_path: Path) -> None:
    found = regression(runs_of(tmp_path / "now", *records([2.0])), runs_of(tmp_path / "before", *records([1.0])))
    assert regression_section(found, "before").sentences[0] == (
        "No regression found: no result is significantly worse or lost; "
        "1 result is different with too few seeds to be tested."
    )


def test_of_several_other_settings_none_is_said_to_be_the_one_that_changed(tmp_path: Path) -> None:
    before = [*records([1.0], settings={"lr": 0.5}), *records([1.0], settings={"lr": 0.25})]
    found = moved(tmp_path, records([9.0], settings={"lr": 0.1}), before)
    assert [row["why"] for row in found] == [None] * 3


def test_earlier_results_hold_no_runs_that_were_imported_there(tmp_path: Path) -> None:
    write(tmp_path / "before", *records([1.0]))
    write(tmp_path / "before" / "imported" / "lab-1", *records([5.0], method="theirs"))
    assert reference_runs(tmp_path / "before")["method"].to_list() == ["a"]


@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_is_measured_by_the_size_of_scores_of_either_sign(sign: int) -> None:
    values = sign * np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [1e6, 2e6, 3e6, 4e6, 5e6]])
    for factor, change in ((1 + 1e-7, "same"), (1 - 1e-7, "same"), (1.1, "better" if sign > 0 else "worse")):
        found = report_of(values * factor, values)
        assert found["change"].to_list() == [change] * 2 and found["p"].null_count() == 0


def test_a_run_that_ended_well_without_a_value_is_none_that_failed(tmp_path: Path) -> None:
    now = [*records([1.0, None]), *records([None], first_seed=5, error="It broke.")]
    (row,) = moved(tmp_path, now, records([1.0, None, None]))
    assert (row["seeds_now"], row["failed_now"], row["seeds_before"], row["failed_before"]) == (1, 1, 1, 0)


def test_what_changed_is_looked_for_within_a_protocol(tmp_path: Path) -> None:
    before = [*records([1.0], settings={"lr": 0.5}), *records([1.0], protocol="paper", settings={"lr": 0.5})]
    found = moved(tmp_path, records([9.0], settings={"lr": 0.25}), before)
    assert {(row["change"], row["protocol"]): row["why"] for row in found} == {
        ("only before", "quick"): "there lr=0.25",
        ("only before", "paper"): None,
        ("only now", "quick"): "there lr=0.5",
    }


def test_cells_of_one_change_stand_by_task_protocol_and_method(tmp_path: Path) -> None:
    """And those that did not move are last: what chance may have moved stands before what is the same."""
    same = [*records([1.0] * 5, method="b"), *records([1.0] * 5, method="a"), *records([1.0] * 5, protocol="paper")]
    noisy = [1.0, 1.4, 1.2, 0.8, 0.6]
    now, before = ([*same, *records(values, method="z")] for values in (noisy, [1.05 * one for one in noisy[::-1]]))
    found = moved(tmp_path, now, before)
    assert [(row["change"], row["protocol"], row["method"]) for row in found] == [
        ("within noise", "quick", "z"),
        ("same", "paper", "a"),
        ("same", "quick", "a"),
        ("same", "quick", "b"),
    ]


def test_a_setting_that_one_side_did_not_know_yet_is_no_change_where_it_changes_nothing(tmp_path: Path) -> None:
    def older(record: Record) -> Record:
        sampler = {name: value for name, value in record.spec.sampler.items() if name not in NEUTRAL["sampler"]}
        assert len(sampler) < len(record.spec.sampler)
        return replace(record, spec=replace(record.spec, sampler=sampler))

    now, before = (
        make_record("teacher_space_equivariant", "mlp-ps", task_params={"degree": 5}, settings={"lr": lr})
        for lr in (0.5, 0.25)
    )
    assert [row["why"] for row in moved(tmp_path, [now], [older(before)])] == ["there lr=0.5", "there lr=0.25"]
