"""A result that ran again is a line with a point for each time, however source, commit and versions changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from harness.collate import collate
from harness.records.record import Record
from harness.site.history import history
from harness.site.sources import read_source, tables_of
from harness.spec import RunSpec
from tests.harness.site.sites import bundle_of, ran_on, results, store_of
from tests.harness.synthetic import make_record


@pytest.fixture
def runs(tmp_path: Path) -> pl.DataFrame:
    """The same runs of two sources, half a year apart."""
    early = bundle_of(tmp_path, "early", ran_on(results(0.2), "2026-01-05", "a"))
    late = bundle_of(tmp_path, "late", ran_on(results(0.1, ("egnn",)), "2026-07-05", "b"))
    return tables_of([read_source(early), read_source(late)]).runs


def test_both_dates_are_drawn(runs: pl.DataFrame) -> None:
    found = history(runs)
    (group,) = found.figure_groups
    (trace,) = group.figures[0].spec["data"]
    assert [x[:10] for x in trace["x"]] == ["2026-01-05", "2026-07-05"]
    assert trace["y"] == pytest.approx([0.22, 0.11])
    seeds = runs.filter(pl.col("method") == "egnn", pl.col("value") < 0.15)["value"]
    assert trace["error_y"]["array"][1] == pytest.approx(seeds.std() / len(seeds) ** 0.5)
    assert [series.name for series in group.legend] == ["egnn"]


def test_the_table_has_all_results_with_the_latest_first(runs: pl.DataFrame) -> None:
    rows = history(runs).table.rows
    titles = [column.title for column in history(runs).table.columns]
    shown = [dict(zip(titles, (cell.text for cell in row), strict=True)) for row in rows]
    assert [(row["Method"], row["Date"][:10], row["Commit"]) for row in shown] == [
        ("egnn", "2026-07-05", "b" * 10),
        ("egnn", "2026-01-05", "a" * 10),
        ("gnn-ga", "2026-01-05", "a" * 10),
    ]
    assert [len(row["Difference"]) for row in shown] == [7, 1, 1]
    assert shown[0]["Difference"] == "-0.1100"
    assert [row["Source"].split("-")[0] for row in shown] == ["late", "early", "early"]
    assert len(history(runs, repeated_only=True).table.rows) == 2


def test_a_result_stays_one_line_when_versions_change(tmp_path: Path) -> None:
    def version(record: Record, **versions: str) -> Record:
        return replace(record, spec=RunSpec.from_dict({**record.spec.to_dict(), **versions}))

    early = [version(one, task_version="1", method_version="0") for one in ran_on(results(0.2), "2026-01-05", "a")]
    runs = collate(store_of(tmp_path / "store", [*early, *ran_on(results(0.1), "2026-07-05", "a")])).runs
    (group,) = history(runs).figure_groups
    assert sorted(len(trace["x"]) for trace in group.figures[0].spec["data"]) == [2, 2]
    versions = [cell.text for row in history(runs).table.rows for cell in row if cell.text == "1, 0"]
    assert len(versions) == 2


def test_other_settings_are_another_line(tmp_path: Path) -> None:
    other = [make_record(seed=seed, value=0.1, settings={"lr": 0.5}) for seed in range(5)]
    runs = collate(store_of(tmp_path / "store", [*results(0.2), *ran_on(other, "2026-07-05", "b")])).runs
    found = history(runs)
    assert not found.figure_groups and len(found.table.rows) == 3
    assert "measured once" in found.remark


def test_nothing_ran(tmp_path: Path) -> None:
    found = history(collate(store_of(tmp_path / "store", [])).runs)
    assert not found.figure_groups and not found.table.rows
