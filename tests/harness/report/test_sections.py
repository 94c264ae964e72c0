"""Quality against cost, papers beside ours, cards and commands: what the sections say is right and complete."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.collate import Tables, collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report.content.pareto import MAX_POINTS, MEASURES, on_front
from harness.report.rendering.cells import Cell, Table, missing
from harness.report.sections.costs import ComparisonGroupCosts, costs
from harness.report.sections.failures import failures
from harness.report.sections.leaderboard import leaderboard
from harness.report.sections.method_cards import method_cards, task_cards
from harness.report.sections.overview import overview
from harness.report.sections.provenance import reproduction
from harness.report.sections.replication import replication
from tests.harness.synthetic import default_provenance, demo_records, make_record, renamed, write

DASH = missing("").text
NUMBERS = st.integers(0, 5).map(float)


def tables_of(root: Path, *records: Record) -> Tables:
    write(root / "store", *records)
    return collate(Store(root / "store"))


def cells(table: Table, title: str) -> dict[str, Cell]:
    place = [column.title for column in table.columns].index(title)
    return {row[0].text: row[place] for row in table.rows}


def main_costs(root: Path, *records: Record) -> ComparisonGroupCosts:
    return costs(tables_of(root, *records))[0].comparison_groups[0]


def costing(method: str, value: float | None, flops: float | None, seed: int = 0) -> Record:
    record = make_record(method=method, value=value, seed=seed)
    kept = {name: cost for name, cost in record.cost.items() if name != "flops_per_example"}
    return replace(record, cost=kept if flops is None else kept | {"flops_per_example": flops})


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12))
def test_the_front_is_what_no_other_point_beats(points: list[tuple[float, float]]) -> None:
    found = on_front([cost for cost, _ in points], [loss for _, loss in points])
    for (cost, loss), best in zip(points, found, strict=True):
        beaten = any(c <= cost and v <= loss and (c, v) != (cost, loss) for c, v in points)
        assert best == (not beaten)


def test_the_front_of_a_metric_to_raise_has_the_highest(tmp_path: Path) -> None:
    records = [
        replace(
            make_record("exp_classify", method, value=value),
            cost={"flops_per_example": flops},
        )
        for method, value, flops in (("gin", 0.6, 1e3), ("mlp-ga", 0.9, 1e6), ("mlp-fa", 0.8, 2e6))
    ]
    found = main_costs(tmp_path, *records)
    marks = {name: cell.mark for name, cell in cells(found.table, "FLOPs / example").items()}
    assert marks == {"gin": "best", "mlp-ga": "best", "mlp-fa": ""}
    assert found.figure_group is not None and [figure.name for figure in found.figure_group.figures] == ["FLOPs"]
    named = [trace["name"] for trace in found.figure_group.figures[0].spec["data"] if trace.get("text")]
    assert named == ["mlp-ga", "gin"]


def test_records_without_a_count_have_a_dash_and_are_named(tmp_path: Path) -> None:
    found = main_costs(tmp_path, costing("egnn", 0.1, None), costing("gnn-ga", 0.2, 5e6))
    shown = cells(found.table, "FLOPs / example")
    assert shown["egnn"].text == DASH and "not counted" in shown["egnn"].why
    assert shown["gnn-ga"].text == "5.00 M"
    assert found.remarks == ("Operations were not counted when these records were made: egnn.",)
    assert found.figure_group is not None
    assert "Not in the figure of FLOPs, since it was not measured: egnn." in found.figure_group.remarks


def test_a_mean_of_costs_leaves_out_seeds_without_one(tmp_path: Path) -> None:
    found = main_costs(tmp_path, costing("egnn", 0.1, None), costing("egnn", 0.1, 5e6, seed=1))
    assert cells(found.table, "FLOPs / example")["egnn"].text == "5.00 M"


def test_a_hundred_methods_in_one_figure_are_the_front_and_then_the_best(tmp_path: Path) -> None:
    records = [
        renamed(costing("gnn-ga", (2.0 if n < 10 else 3.0) - n / 100, 1e6 + n), method=f"plugin-{n:03}")
        for n in range(100)
    ]
    group = main_costs(tmp_path, *records).figure_group
    assert group is not None and len(group.legend) == MAX_POINTS
    assert any(remark.startswith(f"{MAX_POINTS} of 100 points are drawn") for remark in group.remarks)
    named = {trace["name"] for trace in group.figures[0].spec["data"] if trace.get("text")}
    assert named == {f"plugin-{n:03}" for n in range(10)}
    assert {series.name for series in group.legend} == named | {f"plugin-{n:03}" for n in range(70, 100)}


def test_a_cheap_and_bad_method_of_the_front_is_drawn_before_better_ones(tmp_path: Path) -> None:
    records = [renamed(costing("gnn-ga", n / 100, 1e6 + n), method=f"plugin-{n:03}") for n in range(MAX_POINTS + 10)]
    cheapest = renamed(costing("gnn-ga", 9.0, 1.0), method="cheapest")
    group = main_costs(tmp_path, *records, cheapest).figure_group
    assert group is not None and "cheapest" in {series.name for series in group.legend}


def test_costs_are_drawn_in_the_units_of_their_axes(tmp_path: Path) -> None:
    cost = {
        "flops_per_example": 7e3,
        "seconds_per_example": 0.002,
        "peak_memory_bytes": 3 * 2**20,
        "train_seconds": 90.0,
        "parameters": 50,
    }
    group = main_costs(tmp_path, make_record(cost=cost)).figure_group
    assert group is not None
    drawn = {
        figure.spec["layout"]["xaxis"]["title"]["text"]: next(t["x"] for t in figure.spec["data"] if "name" in t)
        for figure in group.figures
    }
    assert drawn == {
        "FLOPs per example": [7e3],
        "milliseconds per example": [2.0],
        "MiB at evaluation": [3.0],
        "seconds of training": [90.0],
        "parameters": [50.0],
    }


def test_methods_without_a_value_are_in_the_table_and_not_in_the_figure(tmp_path: Path) -> None:
    failed = make_record(method="gnn-ps", error="out of memory")
    found = main_costs(tmp_path, costing("egnn", 0.1, 1e6), costing("gnn-ga", None, 1e5), failed)
    assert found.figure_group is not None and [series.name for series in found.figure_group.legend] == ["egnn"]
    assert "Not drawn, since they are not ranked: gnn-ga, gnn-ps." in found.figure_group.remarks
    assert cells(found.table, "FLOPs / example")["gnn-ps"].why == "Not measured: no run succeeded"
    assert cells(found.table, "FLOPs / example")["gnn-ga"].text == "100 k"
    assert all(cell.mark == "best" for cell in cells(found.table, "Memory").values() if cell.text != DASH and cell.mark)


def test_where_every_run_failed_there_is_a_table_and_no_figure(tmp_path: Path) -> None:
    found = main_costs(tmp_path, make_record(error="one"), make_record(method="gnn-ga", error="two"))
    assert found.figure_group is None and len(found.table.rows) == 2


def test_the_difference_from_a_paper_is_in_deviations_over_our_seeds(tmp_path: Path) -> None:
    values = (0.0080, 0.0075, 0.0091)
    records = [make_record(method="egnn", protocol="paper", seed=seed, value=v) for seed, v in enumerate(values)]
    one_seed = make_record(method="radial_field", protocol="paper", value=0.005)
    table = replication(tables_of(tmp_path, *records, one_seed))
    shown = cells(table, "Difference in SD")
    expected = (statistics.mean(values) - 0.0071) / statistics.stdev(values)
    assert shown["egnn"].sort == pytest.approx(expected)
    assert (shown["egnn"].text, shown["egnn"].note) == (f"{expected:+.1f}", "worse")
    assert shown["radial_field"].text == DASH and shown["radial_field"].why == "One seed: no standard deviation"
    assert {name: cell.text for name, cell in cells(table, "Seeds").items()} == {"egnn": "3", "radial_field": "1"}
    assert {cell.text for cell in cells(table, "Comparable").values()} == {"yes"}


@pytest.mark.parametrize(("direction", "note"), [("min", "worse"), ("max", "better")])
def test_more_than_the_paper_is_better_where_the_metric_is_to_be_high(
    tmp_path: Path, direction: str, note: str
) -> None:
    records = [make_record(method="egnn", protocol="paper", seed=seed, value=1.0 + seed) for seed in range(3)]
    tables = tables_of(tmp_path, *records)
    found = replication(replace(tables, accuracy=tables.accuracy.with_columns(pl.lit(direction).alias("direction"))))
    assert cells(found, "Difference in SD")["egnn"].note == note


def test_claims_in_words_and_other_protocols_are_not_compared_as_numbers(tmp_path: Path) -> None:
    records = [make_record("graph8c", "mlp-ps", seed=seed, value=float(seed)) for seed in (0, 1)]
    table = replication(tables_of(tmp_path, *records))
    assert cells(table, "Paper")["mlp-ps"].text == "0 pairs"
    assert cells(table, "Difference in SD")["mlp-ps"].text == DASH
    assert cells(table, "Comparable")["mlp-ps"].text == (
        "no: protocol quick, not paper; published without its k; a claim that no number by the authors confirms"
    )


def test_every_registered_method_says_what_it_guarantees_and_where_it_is_from() -> None:
    for card in registry.methods().values():
        assert any(word in card.guarantee for word in ("exact", "in expectation", "none")), card.name
        assert card.source


def test_deviations_are_sentences_to_which_a_full_stop_is_added() -> None:
    for card in (*registry.tasks().values(), *registry.methods().values()):
        assert all(text[0].isupper() and text[-1] != "." for text in card.deviations), card.name


def test_cards_of_what_ran(tmp_path: Path) -> None:
    other = renamed(make_record(method="gnn-ga"), task="other-task", method="other-method", base_model="net")
    runs = tables_of(tmp_path, make_record(method="egnn"), make_record(method="gnn-fa"), other).runs
    facts = {card.name: dict(card.facts) for card in method_cards(runs)}
    assert list(facts) == ["egnn", "gnn-fa", "other-method"]
    assert facts["egnn"]["Guarantee"] == "exact" and "2102.09844" in facts["egnn"]["Base model"]
    assert "Puny et al. 2022" in facts["gnn-fa"]["Group elements"]
    assert facts["gnn-fa"]["Base model respects"] == "Sₙ"
    assert "not equivariant on 67 of 120 graphs of EXP" in facts["gnn-fa"]["Known deviations from the publication"]
    assert "Known deviations from the publication" not in facts["egnn"]
    assert "Guarantee" not in facts["other-method"]
    nbody, unknown = task_cards(runs)
    assert dict(nbody.facts)["Metric"] == "mse ↓ (lower is better)"
    assert unknown.remark and not nbody.remark
    assert len({card.id for card in (*method_cards(runs), nbody, unknown)}) == 5


def test_every_row_of_the_leaderboard_has_its_command(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, *demo_records(1))
    rows = reproduction(tables.runs).rows
    commands = {(row[1].text, row[0].text): row[-1].text for row in rows}
    ranked = {
        (task.name, row[0].text) for task in leaderboard(tables) for board in task.boards for row in board.table.rows
    }
    assert ranked == set(commands)
    for (task, method), command in commands.items():
        assert command == f"symbench run ray_configs/quick.yaml --only task={task},method={method}"


def test_settings_of_two_launches_have_two_commands(tmp_path: Path) -> None:
    launched = [
        make_record(provenance=default_provenance() | {"command": command}, settings={"lr": lr})
        for command, lr in (
            ("symbench run quick", 1e-3),
            (["symbench", "run", "quick", "--set", "settings.lr=0.1"], 0.1),
        )
    ]
    rows = reproduction(tables_of(tmp_path, *launched).runs).rows
    assert sorted((row[4].text, row[-1].text) for row in rows) == [
        ("lr=0.001", "symbench run quick --only task=nbody,method=egnn"),
        ("lr=0.1", "symbench run quick --set settings.lr=0.1 --only task=nbody,method=egnn"),
    ]


def test_runs_of_several_commits_give_a_warning(tmp_path: Path) -> None:
    commits = [default_provenance() | {"git_commit": commit} for commit in ("aaa", "bbb")]
    records = [make_record(seed=seed, provenance=found) for seed, found in enumerate(commits)]
    warnings = overview(tables_of(tmp_path, *records)).warnings
    assert any(warning.startswith("The runs come from 2 commits of the code") for warning in warnings)
    tables = collate(Store(tmp_path / "store"))
    assert {measure.column for measure in MEASURES} <= {*tables.accuracy.columns, *tables.costs.columns}


def test_failures_are_listed_most_frequent_first_with_the_message_of_the_first(tmp_path: Path) -> None:
    records = [make_record(seed=seed, error="rare" if seed == 0 else "often") for seed in range(4)]
    found = failures(tables_of(tmp_path, make_record(method="gnn-ga"), *records).runs)
    assert [(one.sentence, one.count) for one in found] == [("often", "3 runs"), ("rare", "1 run")]
    assert found[1].runs == "nbody × egnn (protocol quick, seed 0)"  # noqa: RUF001
    assert found[0].log.startswith("logs/") and "often" in found[0].traceback


def test_what_ran_is_counted_from_the_first_start_to_the_last_end(tmp_path: Path) -> None:
    runs = [make_record(seed=seed) for seed in (3, 1, 2)]
    table = overview(tables_of(tmp_path, *runs, make_record(seed=9, error="no"), make_record(seed=8, error="no"))).table
    [row] = [dict(zip([column.title for column in table.columns], row, strict=True)) for row in table.rows]
    shown = {title: cell.text for title, cell in row.items()}
    assert (shown["Runs"], shown["Failed"], shown["Methods"], shown["Seeds"]) == ("5", "2", "1", "1, 2, 3, 8, 9")
    assert (shown["First start"], shown["Last end"]) == ("2026-03-02 10:01 UTC", "2026-03-02 10:09 UTC")
    assert shown["Time"] == "3 min 30 s"


def test_tasks_that_nobody_registers_come_last(tmp_path: Path) -> None:
    records = [renamed(make_record(), task="a-plugin"), make_record(), make_record("exp_classify", "gin")]
    names = [task.name for task in leaderboard(tables_of(tmp_path, *records))]
    assert names == [*(name for name in registry.tasks() if name in ("nbody", "exp_classify")), "a-plugin"]


def test_a_run_without_a_finite_score_is_marked_as_one_that_failed(tmp_path: Path) -> None:
    records = [make_record(seed=0), make_record(seed=1, value=None), make_record(method="gnn-ga")]
    (board,) = leaderboard(tables_of(tmp_path, *records))[0].boards
    failed = cells(board.table, "Failed")
    assert (failed["egnn"].text, failed["egnn"].note, failed["egnn"].mark) == ("0", "1 not finite", "failed")
    assert (failed["gnn-ga"].text, failed["gnn-ga"].mark) == ("0", "")


def test_the_interval_stands_beside_the_mean_of_the_middle_half(tmp_path: Path) -> None:
    records = [make_record(seed=seed, value=value) for seed, value in enumerate((1.0, 2.0, 3.0, 4.0, 95.0))]
    (board,) = leaderboard(tables_of(tmp_path, *records))[0].boards
    assert cells(board.table, "IQM, 95 %")["egnn"].text.startswith("3 [")
    assert cells(board.table, "mse ↓")["egnn"].text.startswith("21 ±")


@pytest.mark.parametrize(("task", "methods"), [("nbody", ("egnn", "gnn-ga")), ("exp_classify", ("gin", "mlp-ga"))])
def test_rows_that_differ_significantly_have_different_ranks_in_both_directions(
    tmp_path: Path, task: str, methods: tuple[str, str]
) -> None:
    records = [
        make_record(task, method, seed=seed, value=level + 0.01 * seed)
        for method, level in zip(methods, (0.2, 0.8), strict=True)
        for seed in range(6)
    ]
    (board,) = leaderboard(tables_of(tmp_path, *records))[0].boards
    best = methods[0] if task == "nbody" else methods[1]
    assert {name: cell.text for name, cell in cells(board.table, "Rank").items()} == {
        name: "1" if name == best else "2" for name in methods
    }


def test_a_failed_row_has_neither_a_device_nor_a_missing_count(tmp_path: Path) -> None:
    found = main_costs(tmp_path, costing("egnn", 0.1, 5e6), make_record(method="gnn-ga", error="no"))
    assert "Device" not in [column.title for column in found.table.columns]
    assert found.remarks == ()


def test_the_front_is_a_staircase_that_goes_down_at_each_of_its_points(tmp_path: Path) -> None:
    group = main_costs(tmp_path, costing("egnn", 0.3, 1e6), costing("gnn-ga", 0.1, 9e6)).figure_group
    assert group is not None
    stairs = group.figures[0].spec["data"][0]
    assert (stairs["x"], stairs["y"], stairs["line"]["shape"]) == ([1e6, 9e6], [0.3, 0.1], "hv")


def test_versions_of_a_task_are_separate_comparison_groups(tmp_path: Path) -> None:
    old = make_record(method="gnn-ga")
    old = replace(old, spec=replace(old.spec, task_version="0"))
    boards = leaderboard(tables_of(tmp_path, old, make_record()))[0].boards
    assert [[row[0].text for row in board.table.rows] for board in boards] == [["egnn"], ["gnn-ga"]]
    assert "task version 0, now" in " ".join(boards[1].chips)
