"""The control metric beside a score: which rows it ranks, and what the report says about it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.collate import collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report import write_report
from harness.report.content import control_metrics
from harness.report.content.comparison_groups import ComparisonGroup, Row, comparison_groups
from harness.report.rendering.cells import Cell
from harness.report.sections.leaderboard import Board, leaderboard
from tests.harness.synthetic import make_record, write

SAID = control_metrics.NOT_SYMMETRIC


def board_of(root: Path, *records: Record) -> Board:
    write(root / "store", *records)
    return leaderboard(collate(Store(root / "store")))[0].boards[0]


def cells(board: Board, title: str) -> dict[str, Cell]:
    place = [column.title.rstrip(" ↓↑") for column in board.table.columns].index(title)
    return {row[0].text: row[place] for row in board.table.rows}


def marks(board: Board) -> dict[str, str]:
    return {row[0].text: ", ".join(badge.text for badge in row[0].badges) for row in board.table.rows}


def seeds(task: str, method: str, *scores: tuple[float, float]) -> list[Record]:
    return [
        make_record(task, method, seed=seed, value=value, control=control)
        for seed, (value, control) in enumerate(scores)
    ]


def test_a_score_that_comes_from_the_order_of_the_data_is_not_the_best(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        *seeds("exp_classify", "mlp-none", (0.96, 0.52), (0.97, 0.49)),
        *seeds("exp_classify", "mlp-fa", (0.90, 0.91), (0.91, 0.90)),
        *seeds("exp_classify", "gin", (0.5, 0.5), (0.5, 0.5)),
    )
    assert [row[0].text for row in board.table.rows] == ["mlp-fa", "mlp-none", "gin"]
    original, transformed = cells(board, "accuracy"), cells(board, "Transformed inputs")
    assert {name: cell.mark for name, cell in original.items()} == {"mlp-fa": "best", "mlp-none": "", "gin": ""}
    assert original["mlp-none"].text == "0.9650 ± 0.0050"
    assert transformed["mlp-none"].text == "0.505 ± 0.015"
    assert marks(board) == {"mlp-fa": "", "mlp-none": SAID, "gin": ""}
    assert "ranked by the worse of the two means" in board.control


def test_differences_are_tested_on_the_seeds_of_the_worse_mean(tmp_path: Path) -> None:
    """The original scores of gnn-ga are clearly worse than those of egnn; its transformed ones vary widely."""
    steady = (0.101, 0.102, 0.103, 0.104, 0.105)
    board = board_of(
        tmp_path,
        *seeds("nbody", "egnn", *((value, value) for value in steady)),
        *seeds(
            "nbody", "gnn-ga", *zip((0.111, 0.112, 0.113, 0.114, 0.115), (0.05, 0.25, 0.11, 0.3, 0.09), strict=True)
        ),
        *seeds("nbody", "gnn-fa", *((value + 9, value) for value in steady)),
    )
    original, transformed = cells(board, "mse"), cells(board, "Transformed inputs")
    assert {name: (original[name].mark, transformed[name].mark) for name in original} == {
        "egnn": ("best", ""),
        "gnn-ga": ("", "tied"),
        "gnn-fa": ("", ""),
    }
    assert {name: cell.text for name, cell in cells(board, "Rank").items()} == {
        "egnn": "1=",
        "gnn-ga": "1=",
        "gnn-fa": "3",
    }
    assert transformed["gnn-ga"].note == "≈ best"


@pytest.mark.parametrize(("direction", "sign"), [("min", 1.0), ("max", -1.0)])
@pytest.mark.parametrize("errors", [(3.0, 4.0), (5.0, None), (None, 5.0)])
def test_a_drop_begins_beyond_two_standard_errors_of_the_difference(
    direction: str, sign: float, errors: tuple[float | None, float | None]
) -> None:
    """Of errors 3 and 4: sqrt(9 + 16) = 5, so at 10 there is none yet."""
    for sampler, word in (("none", control_metrics.NOT_SYMMETRIC), ("ga", control_metrics.WORSE)):
        for gap, said in ((10.0, ""), (10.0 + 1e-9, word), (-10.0 - 1e-9, "")):
            row, comparison_group = dropping(50.0, 50.0 + sign * gap, errors, direction, sampler)
            assert control_metrics.drop(row, comparison_group) == said


@pytest.mark.parametrize(("direction", "sign"), [("min", 1.0), ("max", -1.0)])
def test_without_errors_a_drop_begins_beyond_five_per_cent_of_the_score(direction: str, sign: float) -> None:
    for errors in ((None, None), (0.0, 0.0), (0.0, None)):
        for mean in (40.0, -40.0):
            for gap, said in ((2.0, ""), (2.0 + 1e-9, control_metrics.NOT_SYMMETRIC)):
                row, comparison_group = dropping(mean, mean + sign * gap, errors, direction, "none")
                assert control_metrics.drop(row, comparison_group) == said
                symmetric, _ = dropping(mean, mean + sign * gap, errors, direction, "ga")
                assert control_metrics.drop(symmetric, comparison_group) == ""


def dropping(
    mean: float, transformed: float, errors: tuple[float | None, float | None], direction: str, sampler: str
) -> tuple[Row, ComparisonGroup]:
    row: Row = {
        "mean": mean,
        "stderr": errors[0],
        "control_name": "m_transformed",
        "control_mean": transformed,
        "control_stderr": errors[1],
        "sampler": sampler,
    }
    comparison_group = ComparisonGroup(
        task="t",
        protocol="quick",
        variant=None,
        metric="m",
        direction=direction,
        symmetry_group="S_n",
        params={},
        chips=(),
        rows=(row,),
        is_main=True,
        control="m_transformed",
    )
    return row, comparison_group


ERRORS = st.none() | st.floats(0, 1)


@given(st.floats(-5, 5), ERRORS, st.floats(-5, 5), ERRORS, st.sampled_from(["min", "max"]))
def test_a_drop_needs_a_gap_of_two_standard_errors(
    mean: float, stderr: float | None, transformed: float, transformed_stderr: float | None, direction: str
) -> None:
    row, comparison_group = dropping(mean, transformed, (stderr, transformed_stderr), direction, "none")
    if control_metrics.drop(row, comparison_group):
        gap = transformed - mean if direction == "min" else mean - transformed
        assert gap > 2 * math.hypot(stderr or 0, transformed_stderr or 0)


def test_a_method_that_separates_copies_is_ranked_by_what_it_separates_soundly(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        *seeds("graph8c", "mlp-ga", (0.0, 61_000_000.0), (0.0, 61_000_002.0)),
        *seeds("graph8c", "mlp-fa", (0.0, 37_000_000.0), (0.0, 37_000_002.0)),
        *seeds("graph8c", "gin", (970.0, 970.0), (703.0, 703.0)),
    )
    assert [column.title for column in board.table.columns][2:4] == ["unseparated ↓", "Soundly"]
    assert [row[0].text for row in board.table.rows] == ["gin", "mlp-fa", "mlp-ga"]
    assert [cell.mark for cell in cells(board, "unseparated").values()] == ["best", "", ""]
    soundly = cells(board, "Soundly")
    assert soundly["mlp-fa"].text == "37,000,001 ± 1"
    assert marks(board) == {"gin": "", "mlp-fa": control_metrics.UNSOUND, "mlp-ga": control_metrics.UNSOUND}
    assert [cell.text for cell in cells(board, "IQM, 95 %").values()][1] == "37,000,001 [37,000,000, 37,000,002]"
    assert "relabelled copy" in board.control and "worse of the two means" in board.control


def test_records_from_before_soundness_keep_their_false_separations_beside_the_score(tmp_path: Path) -> None:
    def older(record: Record, false: float) -> Record:
        described = replace(record.description, control="false_separations")
        return replace(record, description=described, metrics={**record.metrics, "false_separations": false})

    haar, frame, gin = (make_record("graph8c", method, value=0.0) for method in ("mlp-ga", "mlp-fa", "gin"))
    board = board_of(tmp_path, older(haar, 11_115.0), older(frame, 4_005.0), older(gin, 0.0))
    assert [column.title for column in board.table.columns][2:4] == ["unseparated ↓", "False separations"]
    assert [row[0].text for row in board.table.rows] == ["gin", "mlp-fa", "mlp-ga"]
    assert [cell.mark for cell in cells(board, "unseparated").values()] == ["best", "best", "best"]
    assert [cell.text for cell in cells(board, "False separations").values()] == ["0", "4,005", "11,115"]
    assert "relabelled copy" in board.control and "unseparated alone" in board.control


def test_a_control_of_another_unit_stands_beside_and_orders_equals_only(tmp_path: Path) -> None:
    old = make_record("brec", "mlp-canonical", value=390.0)
    board = board_of(
        tmp_path,
        *seeds("brec", "mlp-fa", (390.0, 40.0), (390.0, 42.0)),
        *seeds("brec", "mlp-ga", (390.0, 20.0), (390.0, 22.0)),
        *seeds("brec", "gin", (120.0, 0.0), (121.0, 0.0)),
        replace(old, description=replace(old.description, control=None)),
    )
    assert [column.title for column in board.table.columns][2:4] == ["separated ↑", "Unreliable"]
    assert [row[0].text for row in board.table.rows] == ["mlp-ga", "mlp-fa", "mlp-canonical", "gin"]
    assert [cell.mark for cell in cells(board, "separated").values()] == ["best", "best", "best", ""]
    shown = [cell.text for cell in cells(board, "Unreliable").values()]
    assert shown == ["21.0 ± 1.0", "41.0 ± 1.0", "–", "0 ± 0"]  # noqa: RUF001
    assert "relabelled copies" in board.control and "separated alone" in board.control


@pytest.mark.parametrize(
    ("method", "value", "control", "note"),
    [
        ("gnn-none", 1.0, 1.06, SAID),
        ("gnn-none", 1.0, 1.04, ""),
        ("gnn-none", 1.06, 1.0, ""),
        ("gnn-ga", 1.0, 1.06, ""),
        ("egnn", 1.0, 1.06, ""),
    ],
)
def test_without_errors_five_per_cent_decide_for_methods_that_are_not_symmetric(
    tmp_path: Path, method: str, value: float, control: float, note: str
) -> None:
    board = board_of(tmp_path, *seeds("nbody", method, (value, control)))
    assert marks(board) == {method: note}


def test_a_symmetric_method_whose_score_drops_is_not_called_asymmetric(tmp_path: Path) -> None:
    board = board_of(tmp_path, *seeds("nbody", "gnn-ga", (1.0, 1.5), (1.01, 1.51)))
    assert marks(board) == {"gnn-ga": control_metrics.WORSE}


@pytest.mark.parametrize(
    ("method", "drop"), [("gnn-none", control_metrics.NOT_SYMMETRIC), ("gnn-ga", control_metrics.WORSE)]
)
@pytest.mark.parametrize(("beyond", "expected"), [(-1e-9, False), (0.0, False), (1e-9, True), (-9.0, False)])
@pytest.mark.parametrize("direction", ["min", "max"])
def test_a_drop_is_a_gap_of_more_than_two_standard_errors_of_the_difference(
    tmp_path: Path, method: str, drop: str, beyond: float, expected: bool, direction: str
) -> None:
    """The difference has the error hypot(0.375, 0.5) = 0.625, so the boundary is 1.25 beyond an original mean of 1."""
    write(tmp_path / "store", *seeds("nbody", method, (1.0, 1.0)))
    (comparison_group,) = comparison_groups(collate(Store(tmp_path / "store")).accuracy.to_dicts())
    gap = 1.25 + beyond
    worse = 1.0 + gap if direction == "min" else 1.0 - gap
    row = {**comparison_group.rows[0], "stderr": 0.375, "control_mean": worse, "control_stderr": 0.5}
    assert control_metrics.drop(row, replace(comparison_group, direction=direction)) == (drop if expected else "")


@pytest.mark.parametrize(("control", "expected"), [(1.049, False), (1.051, True), (0.9, False)])
def test_without_errors_a_drop_of_a_metric_to_lower_is_more_than_five_per_cent(
    tmp_path: Path, control: float, expected: bool
) -> None:
    board = board_of(tmp_path, *seeds("nbody", "gnn-none", (1.0, control)))
    assert (marks(board)["gnn-none"] == SAID) == expected


def test_rows_from_before_controls_cannot_be_best_beside_rows_with_one(tmp_path: Path) -> None:
    old = make_record(method="gnn-none", value=0.001)
    old = replace(old, description=replace(old.description, control=None))
    board = board_of(tmp_path, old, *seeds("nbody", "egnn", (0.1, 0.1)), *seeds("nbody", "gnn-ga", (0.2, 0.2)))
    assert [row[0].text for row in board.table.rows] == ["egnn", "gnn-ga", "gnn-none"]
    assert [cell.mark for cell in cells(board, "mse").values()] == ["best", "", ""]
    assert cells(board, "Transformed inputs")["gnn-none"].why == "Not recorded by these runs"


def test_a_table_of_records_from_before_controls_is_as_it_was(tmp_path: Path) -> None:
    records = [make_record(method=method, value=value) for method, value in (("egnn", 0.1), ("gnn-ga", 0.2))]
    board = board_of(tmp_path, *(replace(one, description=replace(one.description, control=None)) for one in records))
    assert board.control == ""
    assert "Transformed inputs" not in [column.title for column in board.table.columns]
    assert [cell.mark for cell in cells(board, "mse").values()] == ["best", ""]


def test_a_control_of_some_seeds_only_says_so(tmp_path: Path) -> None:
    board = board_of(tmp_path, *seeds("nbody", "egnn", (0.1, 0.1), (0.1, math.nan)))
    assert cells(board, "Transformed inputs")["egnn"].note == "1 seed only"


def test_both_files_show_the_control(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write(
        store.root,
        *seeds("exp_classify", "mlp-none", (0.96, 0.52), (0.97, 0.49)),
        *seeds("graph8c", "mlp-ga", (0.0, 61_788_286.0)),
    )
    for path in write_report(collate(store), store, tmp_path)[:2]:
        text = path.read_text(encoding="utf-8")
        for said in ("Transformed inputs", "Soundly", SAID, "61,788,286", "0.505 ± 0.015", "worse of the two means"):
            assert said in text, (path.name, said)


def test_what_a_mark_means_is_said_once_below_the_table(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        *seeds("graph8c", "mlp-ga", (0.0, 61_000_000.0)),
        *seeds("graph8c", "mlp-fa", (0.0, 37_000_000.0)),
        *seeds("graph8c", "gin", (970.0, 970.0)),
    )
    said = [text for text in board.remarks if "relabelled copies" in text]
    assert said == [f"Not sound: {control_metrics.WHY[control_metrics.UNSOUND]}."]
