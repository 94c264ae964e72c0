"""Quality at equal compute: the numbers are those of a search through every measured point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.collate import collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report.content.equal_compute import MOST_BUDGETS, Spent, budgets, within
from harness.report.rendering.cells import Cell
from harness.report.sections.costs import ComparisonGroupCosts, costs
from tests.harness.synthetic import make_record, write

COSTS = st.floats(1.0, 1e12)


@given(st.lists(st.tuples(COSTS, st.floats(-5, 5)), min_size=1, max_size=9, unique_by=lambda pair: pair[0]), COSTS)
def test_a_budget_buys_the_most_expensive_prediction_that_it_pays_for(
    measured: list[tuple[float, float]], budget: float
) -> None:
    spent = [Spent(cost=cost, samples=1, mean=mean, stderr=None) for cost, mean in measured]
    found = within(spent, budget)
    affordable = sorted(pair for pair in measured if pair[0] <= budget)
    assert (None if found is None else (found.cost, found.mean)) == (affordable[-1] if affordable else None)


@given(st.lists(COSTS, min_size=1, max_size=20))
def test_budgets_are_few_and_pay_for_one_prediction_or_more_up_to_all(values: list[float]) -> None:
    found = budgets(values)
    assert 1 <= len(found) <= MOST_BUDGETS and found == sorted({*found})
    assert found[0] >= min(values)
    assert found[-1] >= max(values) and all(one < max(values) for one in found[:-1])


def group_of(root: Path, *records: Record) -> ComparisonGroupCosts:
    write(root / "store", *records)
    return costs(collate(Store(root / "store")))[0].comparison_groups[0]


def costing(method: str, count: float | None, value: float = 0.5, **changes: object) -> Record:
    """A record whose operations were counted at k = 4."""
    record = make_record(method=method, value=value, settings={"test_samples": 4}, **changes)  # type: ignore[arg-type]
    kept = {name: cost for name, cost in record.cost.items() if name != "flops_per_example"}
    return replace(record, cost=kept if count is None else {**kept, "flops_per_example": count})


def columns(found: ComparisonGroupCosts) -> dict[str, dict[str, Cell]]:
    """The cells of the table at equal compute by method and title."""
    assert found.equal_compute is not None
    table = found.equal_compute.table
    titles = [column.title for column in table.columns]
    return {row[0].text: dict(zip(titles, row, strict=True)) for row in table.rows}


def test_scores_are_those_of_the_largest_k_that_each_budget_pays_for(tmp_path: Path) -> None:
    """One sample of ga costs 1 M and one of ps 2 M operations; the exact method costs 3 M at every k."""
    records = [costing("gnn-ga", 4e6), costing("gnn-ps", 8e6), costing("egnn", 3e6, 0.6)]
    found = group_of(tmp_path, *records)
    rows = columns(found)
    for limit in (1, 3, 10, 30, 100, 300):
        title = f"{limit} M FLOPs"
        for method, each in (("gnn-ga", 1), ("gnn-ps", 2)):
            affordable = [k for k in (1, 2, 4, 8, 16, 32, 64) if k * each <= limit]
            cell = rows[method][title]
            if affordable:
                assert cell.sort == pytest.approx(0.5 * (1 + 0.4 / affordable[-1]))
                assert cell.note == f"k = {affordable[-1]}"
            else:
                assert cell.mark == "missing" and "2.00 M" in cell.why
        assert rows["egnn"][title].sort == (0.6 if limit >= 3 else None) and not rows["egnn"][title].note
    for title, best in (("1 M", {"gnn-ga"}), ("3 M", {"gnn-ga", "egnn"}), ("10 M", {"gnn-ga"})):
        assert {name for name, row in rows.items() if row[f"{title} FLOPs"].mark == "best"} == best


def test_the_figure_has_the_numbers_of_curve_and_count(tmp_path: Path) -> None:
    found = group_of(tmp_path, costing("gnn-ga", 4e6), costing("egnn", 3e6, 0.6)).equal_compute
    assert found is not None and found.figure_group is not None
    drawn = {trace["name"]: trace for trace in found.figure_group.figures[0].spec["data"] if "name" in trace}
    ks = (1, 2, 4, 8, 16, 32, 64)
    assert drawn["gnn-ga"]["x"] == pytest.approx([1e6 * k for k in ks])
    assert drawn["gnn-ga"]["y"] == pytest.approx([0.5 * (1 + 0.4 / k) for k in ks])
    assert (drawn["egnn"]["x"], drawn["egnn"]["y"]) == ([3e6], [0.6])
    assert any("1 seed." in remark for remark in found.figure_group.remarks)


def test_a_method_that_is_ranked_by_a_worse_score_has_that_score_alone(tmp_path: Path) -> None:
    """Its curve is of the original inputs, on which it is better than it is."""
    unsound = costing("gnn-none", 1e6, value=0.1, control=0.9)
    found = group_of(tmp_path, unsound, costing("gnn-ga", 4e6))
    cell = columns(found)["gnn-none"]["1 M FLOPs"]
    assert (cell.sort, cell.note, cell.mark) == (0.9, "k = 4", "")
    assert found.equal_compute is not None and found.equal_compute.figure_group is not None
    said = found.equal_compute.figure_group.remarks
    assert any(remark.startswith("One point") and "gnn-none" in remark for remark in said)


def test_methods_whose_operations_are_not_known_are_named(tmp_path: Path) -> None:
    found = group_of(tmp_path, costing("gnn-ga", 4e6), costing("egnn", 3e6), costing("gnn-ps", None))
    assert "gnn-ps" not in columns(found)
    assert found.equal_compute is not None and found.equal_compute.figure_group is not None
    assert "Left out, since the operations were not counted or there is no score: gnn-ps." in (
        found.equal_compute.figure_group.remarks
    )


@pytest.mark.parametrize("records", [[("gnn-ga", 4e6)], [("egnn", 3e6), ("gnn-none", 1e6)], [("gnn-ga", None)]])
def test_there_is_nothing_to_compare_without_two_methods_and_a_curve(
    tmp_path: Path, records: Sequence[tuple[str, float | None]]
) -> None:
    assert group_of(tmp_path, *(costing(*one) for one in records)).equal_compute is None
