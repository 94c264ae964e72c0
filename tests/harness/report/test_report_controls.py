"""The control beside a score: who is ranked by it, and what a reader is told."""

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
from harness.report import controls, write_report
from harness.report.cells import Cell
from harness.report.contests import Contest, Row
from harness.report.leaderboard import Board, leaderboard
from tests.harness.synthetic import make_record, write

SAID = controls.NOT_SYMMETRIC


def board_of(root: Path, *records: Record) -> Board:
    write(root / "store", *records)
    return leaderboard(collate(Store(root / "store")))[0].boards[0]


def cells(board: Board, title: str) -> dict[str, Cell]:
    place = [column.title.rstrip(" ↓↑") for column in board.table.columns].index(title)
    return {row[0].text: row[place] for row in board.table.rows}


def seeds(task: str, method: str, *scores: tuple[float, float]) -> list[Record]:
    return [
        make_record(task, method, seed=seed, value=value, control=control)
        for seed, (value, control) in enumerate(scores)
    ]


def test_a_score_read_off_the_order_of_the_data_is_not_the_best(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        *seeds("exp_classify", "mlp-identity", (0.96, 0.52), (0.97, 0.49)),
        *seeds("exp_classify", "mlp-frame", (0.90, 0.91), (0.91, 0.90)),
        *seeds("exp_classify", "gin", (0.5, 0.5), (0.5, 0.5)),
    )
    assert [row[0].text for row in board.table.rows] == ["mlp-frame", "mlp-identity", "gin"]
    plain, moved = cells(board, "accuracy"), cells(board, "Moved inputs")
    assert {name: cell.mark for name, cell in plain.items()} == {"mlp-frame": "best", "mlp-identity": "", "gin": ""}
    assert plain["mlp-identity"].text == "0.9650 ± 0.0050"
    assert moved["mlp-identity"].text == "0.505 ± 0.015"
    assert {name: cell.note for name, cell in moved.items()} == {"mlp-frame": "", "mlp-identity": SAID, "gin": ""}
    assert "ranked by the worse of the two means" in board.control


def test_ties_use_the_error_of_the_worse_mean(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        *seeds("nbody", "egnn", (0.10, 0.10), (0.10, 0.10)),
        *seeds("nbody", "gnn-haar", (0.10, 0.09), (0.10, 0.13)),
        *seeds("nbody", "gnn-frame", (0.12, 0.11), (0.12, 0.11)),
    )
    assert {name: cell.mark for name, cell in cells(board, "mse").items()} == {
        "egnn": "best",
        "gnn-haar": "tied",
        "gnn-frame": "",
    }


def test_a_method_that_tells_copies_apart_is_ranked_by_what_it_tells_apart_soundly(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        *seeds("graph8c", "mlp-haar", (0.0, 61_000_000.0), (0.0, 61_000_002.0)),
        *seeds("graph8c", "mlp-frame", (0.0, 37_000_000.0), (0.0, 37_000_002.0)),
        *seeds("graph8c", "gin", (970.0, 970.0), (703.0, 703.0)),
    )
    assert [column.title for column in board.table.columns][2:4] == ["unseparated ↓", "Soundly"]
    assert [row[0].text for row in board.table.rows] == ["gin", "mlp-frame", "mlp-haar"]
    assert [cell.mark for cell in cells(board, "unseparated").values()] == ["best", "", ""]
    soundly = cells(board, "Soundly")
    assert soundly["mlp-frame"].text == "37,000,001 ± 1"
    assert [cell.note for cell in soundly.values()] == ["", controls.UNSOUND, controls.UNSOUND]
    assert "relabelled copy" in board.control and "worse of the two means" in board.control


def test_records_from_before_soundness_keep_their_false_separations_beside_the_score(tmp_path: Path) -> None:
    def older(record: Record, false: float) -> Record:
        described = replace(record.description, control="false_separations")
        return replace(record, description=described, metrics={**record.metrics, "false_separations": false})

    haar, frame, gin = (make_record("graph8c", method, value=0.0) for method in ("mlp-haar", "mlp-frame", "gin"))
    board = board_of(tmp_path, older(haar, 11_115.0), older(frame, 4_005.0), older(gin, 0.0))
    assert [column.title for column in board.table.columns][2:4] == ["unseparated ↓", "False separations"]
    assert [row[0].text for row in board.table.rows] == ["gin", "mlp-frame", "mlp-haar"]
    assert [cell.mark for cell in cells(board, "unseparated").values()] == ["best", "best", "best"]
    assert [cell.text for cell in cells(board, "False separations").values()] == ["0", "4,005", "11,115"]
    assert "relabelled copy" in board.control and "unseparated alone" in board.control


def test_a_control_of_another_unit_stands_beside_and_does_not_rank(tmp_path: Path) -> None:
    board = board_of(
        tmp_path,
        *seeds("brec", "mlp-haar", (390.0, 40.0), (390.0, 42.0)),
        *seeds("brec", "mlp-frame", (390.0, 20.0), (390.0, 22.0)),
        *seeds("brec", "gin", (120.0, 0.0), (121.0, 0.0)),
    )
    assert [column.title for column in board.table.columns][2:4] == ["separated ↑", "Unreliable"]
    assert [row[0].text for row in board.table.rows] == ["mlp-frame", "mlp-haar", "gin"]
    assert [cell.mark for cell in cells(board, "separated").values()] == ["best", "best", ""]
    assert [cell.text for cell in cells(board, "Unreliable").values()] == ["21.0 ± 1.0", "41.0 ± 1.0", "0 ± 0"]
    assert "relabelled copies" in board.control and "separated alone" in board.control


@pytest.mark.parametrize(
    ("method", "value", "control", "note"),
    [
        ("gnn-identity", 1.0, 1.06, SAID),
        ("gnn-identity", 1.0, 1.04, ""),
        ("gnn-identity", 1.06, 1.0, ""),
        ("gnn-haar", 1.0, 1.06, ""),
        ("egnn", 1.0, 1.06, ""),
    ],
)
def test_without_errors_five_per_cent_decide_for_methods_that_are_not_symmetric(
    tmp_path: Path, method: str, value: float, control: float, note: str
) -> None:
    board = board_of(tmp_path, *seeds("nbody", method, (value, control)))
    assert cells(board, "Moved inputs")[method].note == note


def test_a_symmetric_method_whose_score_drops_is_told_without_being_called_names(tmp_path: Path) -> None:
    board = board_of(tmp_path, *seeds("nbody", "gnn-haar", (1.0, 1.5), (1.01, 1.51)))
    assert cells(board, "Moved inputs")["gnn-haar"].note == controls.DROPS


def test_rows_from_before_controls_cannot_be_best_beside_rows_with_one(tmp_path: Path) -> None:
    old = make_record(method="gnn-identity", value=0.001)
    old = replace(old, description=replace(old.description, control=None))
    board = board_of(tmp_path, old, *seeds("nbody", "egnn", (0.1, 0.1)), *seeds("nbody", "gnn-haar", (0.2, 0.2)))
    assert [row[0].text for row in board.table.rows] == ["egnn", "gnn-haar", "gnn-identity"]
    assert [cell.mark for cell in cells(board, "mse").values()] == ["best", "", ""]
    assert cells(board, "Moved inputs")["gnn-identity"].why == "Not recorded by these runs"


def test_a_table_of_records_from_before_controls_is_as_it_was(tmp_path: Path) -> None:
    records = [make_record(method=method, value=value) for method, value in (("egnn", 0.1), ("gnn-haar", 0.2))]
    board = board_of(tmp_path, *(replace(one, description=replace(one.description, control=None)) for one in records))
    assert board.control == ""
    assert "Moved inputs" not in [column.title for column in board.table.columns]
    assert [cell.mark for cell in cells(board, "mse").values()] == ["best", ""]


def test_a_control_of_some_seeds_only_says_so(tmp_path: Path) -> None:
    board = board_of(tmp_path, *seeds("nbody", "egnn", (0.1, 0.1), (0.1, math.nan)))
    assert cells(board, "Moved inputs")["egnn"].note == "1 seed only"


def test_both_files_show_the_control(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write(
        store.root,
        *seeds("exp_classify", "mlp-identity", (0.96, 0.52), (0.97, 0.49)),
        *seeds("graph8c", "mlp-haar", (0.0, 61_788_286.0)),
    )
    for path in write_report(collate(store), store, tmp_path)[:2]:
        text = path.read_text(encoding="utf-8")
        for said in ("Moved inputs", "Soundly", SAID, "61,788,286", "0.505 ± 0.015", "worse of the two means"):
            assert said in text, (path.name, said)


ERRORS = st.none() | st.floats(0, 1)


@given(st.floats(-5, 5), ERRORS, st.floats(-5, 5), ERRORS, st.sampled_from(["min", "max"]))
def test_a_row_is_ranked_by_the_worse_mean_and_its_error(
    mean: float, stderr: float | None, moved: float, moved_stderr: float | None, direction: str
) -> None:
    row: Row = {
        "mean": mean, "stderr": stderr, "control_name": "m_moved", "control_mean": moved,
        "control_stderr": moved_stderr, "sampler": "identity",
    }  # fmt: skip
    contest = Contest(
        task="t", protocol="quick", variant=None, metric="m", direction=direction, group="S_n", params={}, chips=(),
        rows=(row,), is_main=True, control="m_moved",
    )  # fmt: skip
    found = controls.score(row, contest)
    assert found.mean == (max if direction == "min" else min)(mean, moved)
    assert (found.mean, found.stderr) in ((mean, stderr), (moved, moved_stderr))
    if controls.drop(row, contest):
        assert (moved - mean if direction == "min" else mean - moved) > 2 * math.hypot(stderr or 0, moved_stderr or 0)
