"""What moved: known shifts are found, chance is not, and what cannot be compared is listed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_ind, ttest_rel

from harness.collate.regression import regression
from harness.errors import SymbenchError
from harness.exchange.exporting import export
from harness.exchange.reference import reference_runs
from harness.records.record import Record
from harness.records.store import Store
from harness.report.against import against
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
    assert row["paired"] and row["verdict"] == "worse"  # an error: lower is better
    assert row["p"] == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_other_seeds_are_tested_as_welch_does(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    before, now = chance.normal(size=5), chance.normal(size=7) * 3 - 9
    (row,) = moved(tmp_path, records(now, first_seed=100), records(before))
    theirs = ttest_ind(now, before, equal_var=False)
    assert not row["paired"] and row["verdict"] == "better"
    assert row["p"] == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_chance_alone_moves_at_most_one_report_in_twenty() -> None:
    """Where nothing moved, any cell said to have moved is wrong; unadjusted, 40 cells would give one nearly always."""
    chance = np.random.default_rng(2)
    wrong = raw = 0
    for _ in range(100):
        frames = [
            pl.concat([_frame(f"m{cell}", chance.normal(size=5)) for cell in range(40)]) for _ in ("now", "before")
        ]
        found = regression(*frames)
        wrong += found["verdict"].is_in(["better", "worse"]).any()
        raw += (found["p"] <= 0.05).any()
    assert wrong <= 11 and raw > 70  # binomial(100, 0.05) exceeds 11 with probability 0.4 %


def _frame(method: str, values: np.ndarray) -> pl.DataFrame:
    n = len(values)
    same = {"source": None, "task": "t", "protocol": "p", "task_params": "{}", "metric": "mse", "direction": "min"}
    same |= {"setting_label": None, "spec_json": "{}", "control_name": None, "status": "succeeded"}
    columns = {name: [value] * n for name, value in same.items()} | {"setting": [method] * n, "method": [method] * n}
    frame = pl.DataFrame(columns | {"seed": range(n), "value": values, "control": [None] * n})
    return frame.cast(
        {name: pl.String for name in ("source", "setting_label", "control_name")} | {"control": pl.Float64}
    )


def test_what_has_no_interval_is_not_said_to_have_moved(tmp_path: Path) -> None:
    (row,) = moved(tmp_path, records([1.0]), records([2.0]))
    assert (row["verdict"], row["low"], row["p"]) == ("one seed", None, None)


def test_the_same_numbers_and_rounding_are_the_same(tmp_path: Path) -> None:
    values = [1.0, 2.0, 3.0]
    (row,) = moved(tmp_path, records(values), records(values))
    assert (row["verdict"], row["difference"], row["low"]) == ("same", 0, 0)
    (row,) = moved(tmp_path / "again", records([value * (1 + 1e-9) for value in values]), records(values))
    assert row["verdict"] == "same"


def test_a_shift_without_spread_has_moved(tmp_path: Path) -> None:
    (row,) = moved(tmp_path, records([1.5, 2.5]), records([1.0, 2.0]))
    assert (row["verdict"], row["low"], row["high"]) == ("worse", 0.5, 0.5)


def test_lost_and_gained_values_are_counted_with_their_failures(tmp_path: Path) -> None:
    broken = records([None, None], error="It broke.")
    (row,) = moved(tmp_path, broken, records([1.0, 2.0]))
    assert (row["verdict"], row["failed_now"], row["failed_before"], row["seeds_now"]) == ("lost", 2, 0, 0)
    (row,) = moved(tmp_path / "back", records([1.0, 2.0]), broken)
    assert row["verdict"] == "gained"


def test_other_settings_are_not_compared_and_what_changed_is_said(tmp_path: Path) -> None:
    before = records([1.0, 1.1], settings={"lr": 0.5})
    gone = records([1.0, 1.1], method="gone")
    found = moved(tmp_path, records([9.0, 9.1], settings={"lr": 0.25}), [*before, *gone])
    assert [(row["verdict"], row["method"], row["why"]) for row in found] == [
        ("only before", "a", "there lr=0.25"),
        ("only before", "gone", None),
        ("only now", "a", "there lr=0.5"),
    ]


def test_scores_on_moved_inputs_count(tmp_path: Path) -> None:
    sound, unsound = records([1.0, 1.1, 1.2]), records([1.0, 1.1, 1.2], control=5.0)
    (row,) = moved(tmp_path, unsound, sound)
    assert row["verdict"] == "worse"


def test_readers_get_what_moved_first_and_the_counts(tmp_path: Path) -> None:
    now = [*records([2.0, 2.1]), *records([1.0, 1.1], method="b"), *records([1.0, 9.1], method="c")]
    before = [*records([1.0, 1.1]), *records([1.0, 1.1], method="b"), *records([9.0, 1.1], method="c")]
    section = against(regression(runs_of(tmp_path / "now", *now), runs_of(tmp_path / "before", *before)), "before")
    assert section.regressed
    assert [[cell.text for cell in row[:2]] for row in section.table.rows] == [["a", "worse"]]
    assert section.sentences[0] == "3 cells in both: 1 worse."
    same = against(regression(runs_of(tmp_path / "now"), runs_of(tmp_path / "now")), "now")
    assert not same.regressed and same.sentences[0] == "3 cells in both: none moved by more than noise."


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
