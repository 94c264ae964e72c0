"""What stands beside the paper's numbers, and when the report says the two may be compared."""

from __future__ import annotations

import math
from pathlib import Path

from baselines.bases.vit_weights import SIZES
from harness.collate import Tables, collate
from harness.collate.bootstrap import Interval
from harness.records.record import Record
from harness.records.store import Store
from harness.report.content import method_comparison
from harness.report.content.deviations import deviations
from harness.report.rendering.cells import Cell
from harness.report.sections.leaderboard import Board, leaderboard
from harness.report.sections.method_cards import method_cards
from harness.report.sections.sample_complexity import sample_complexity
from tests.harness.synthetic import make_record, renamed, write


def tables_of(root: Path, *records: Record) -> Tables:
    write(root / "store", *records)
    return collate(Store(root / "store"))


def cell(board: Board, method: str, column: str) -> Cell:
    titles = [item.title.split()[0] for item in board.table.columns]
    row = next(row for row in board.table.rows if row[0].text == method)
    return row[titles.index(column)]


def test_quick_is_not_paper(tmp_path: Path) -> None:
    (task,) = leaderboard(
        tables_of(tmp_path, make_record(method="egnn"), make_record(method="radial_field", protocol="paper"))
    )
    paper, quick = task.boards
    assert (paper.protocol, quick.protocol) == ("paper", "quick")
    assert cell(quick, "egnn", "Paper").text == "0.0071"
    assert cell(quick, "egnn", "Paper").note == "article; other protocol"
    assert "protocol quick, not paper" in " ".join(quick.remarks)
    assert cell(paper, "radial_field", "Paper").text == "0.0104"
    assert cell(paper, "radial_field", "Paper").note == "article; same protocol"
    assert "egnn 0.0071 (article)" in " ".join(paper.remarks)


def test_a_changed_setting_or_another_dataset_is_not_the_papers_either(tmp_path: Path) -> None:
    changed = make_record(method="egnn", protocol="paper", settings={"epochs": 10})
    variant = make_record("exp_classify", "mlp-ps", "paper")
    exp, nbody = leaderboard(tables_of(tmp_path, changed, variant))
    assert cell(nbody.boards[0], "egnn", "Paper").note == "article; other settings"
    assert nbody.boards[0].changed.endswith("of paper in every row: epochs=10")
    assert cell(exp.boards[0], "mlp-ps", "Paper").text == "1.0 / 1.0"
    assert cell(exp.boards[0], "mlp-ps", "Paper").note == (
        "thread / release; trained with k = 10, k = 10 at evaluation; other data"
    )
    assert exp.boards[0].chips == ("generated variant of EXP",)


def test_the_papers_number_holds_for_five_particles_only(tmp_path: Path) -> None:
    (task,) = leaderboard(tables_of(tmp_path, make_record(method="egnn", task_params={"nodes": 8})))
    assert "Paper" not in [column.title for column in task.boards[0].table.columns]
    assert task.boards[0].chips == ("nodes = 8",)


def test_sizes_are_ranked_separately_and_the_main_comparison_group_comes_first(tmp_path: Path) -> None:
    records = [make_record(method=method) for method in ("egnn", "gnn-ga", "gnn-fa")]
    records += [make_record(method="egnn", value=0.001, task_params={"nodes": n}) for n in (4, 8)]
    (task,) = leaderboard(tables_of(tmp_path, *records))
    assert [board.chips for board in task.boards] == [("nodes = 5",), ("nodes = 4",), ("nodes = 8",)]
    assert [board.is_main for board in task.boards] == [True, False, False]
    assert len(task.boards[0].table.rows) == 3


def test_a_group_is_named_as_it_is_and_families_stand_together_as_they_grow(tmp_path: Path) -> None:
    def run(group: str, degree: int, method: str = "mlp-ga") -> Record:
        params = {"group": [group], "degree": degree, "stabilised": 0}
        return make_record("teacher_space_invariant", method, task_params=params)

    records = [
        run(group, degree) for group, degree in (("O(#)", 8), ("O(#)", 3), ("C_#", 16), ("O(#)", 16), ("C_#", 4))
    ]
    store = Store(tmp_path)
    write(store.root, *records, run("O(#)", 5), run("O(#)", 5, "mlp-fa"))
    (task,) = leaderboard(collate(store))
    named = [board.chips[0] for board in task.boards]
    assert named == ["O(5)", "C_4", "C_16", "O(3)", "O(8)", "O(16)"]
    assert "Groups O(5), C_4, C_16, O(3), O(8), O(16) ·" in task.facts


def test_rows_say_what_was_changed(tmp_path: Path) -> None:
    (task,) = leaderboard(
        tables_of(tmp_path, make_record(method="gnn-ga"), make_record(method="gnn-ga", settings={"train_samples": 7}))
    )
    assert sorted(row[0].note for row in task.boards[0].table.rows) == ["", "train_samples=7"]


def test_deviations_need_a_known_method_of_the_same_version() -> None:
    spec = make_record(method="gnn-ps", base={"width": 32}, settings={"lr": 0.5}).spec.to_dict()
    assert deviations(spec) == {"base.width": 32, "settings.lr": 0.5}
    assert deviations(make_record().spec.to_dict()) == deviations(make_record(seed=3).spec.to_dict()) == {}
    assert deviations(spec | {"method": "unheard_of"}) is None
    assert deviations(spec | {"task_version": "0"}) is None


def test_a_method_that_is_not_installed_keeps_its_plain_name(tmp_path: Path) -> None:
    record = renamed(make_record(method="gnn-ga"), method="other-thing", base_model="other", sampler="thing")
    known, other = method_cards(tables_of(tmp_path, record, make_record(method="gnn-ps")).runs)
    assert (known.title, other.title) == ("Message-passing GNN, probabilistic symmetrization", "other-thing")
    assert dict(known.facts)["Group elements"].startswith("probabilistic symmetrization")
    assert dict(other.facts)["Group elements"] == "thing" and dict(other.facts)["Base model"] == "other"
    assert other.remark and not known.remark


def test_every_table_says_what_a_pretrained_network_starts_from(tmp_path: Path) -> None:
    drawn = {"width": 64, "weights": "random"}
    name = "google/vit-base-patch16-224-in21k"
    loaded = renamed(make_record("graph8c", "vit-ps", base={"weights": "in21k", **SIZES}), weights=name)
    random = renamed(make_record("graph8c", "vit-ps", base=drawn), weights="random weights")
    tables = tables_of(tmp_path, loaded, random)
    rows = [board.table.rows for task in leaderboard(tables) for board in task.boards]
    rows += [table.rows for task in sample_complexity(tables) for one in task.comparison_groups for table in one.tables]
    for table in rows:
        notes = [row[0].note for row in table]
        assert sorted(note.split("; ")[0] for note in notes) == [name, "random weights"]


def test_a_failed_method_is_last_and_says_so(tmp_path: Path) -> None:
    records = [make_record(method="egnn", seed=seed, error="It broke.") for seed in (0, 1)]
    (task,) = leaderboard(tables_of(tmp_path, *records, make_record(method="gnn-ga")))
    board = task.boards[0]
    assert [row[0].text for row in board.table.rows] == ["gnn-ga", "egnn"]
    assert cell(board, "egnn", "mse").note == "every run failed"
    assert cell(board, "egnn", "Failed").text == "2"


def test_no_cell_is_empty_without_a_reason(tmp_path: Path) -> None:
    from harness.report.report import report_contents
    from tests.harness.synthetic import demo_records

    bare = make_record(method="gnn-ga", seed=9, value=None, provenance={}, cost={"parameters": float("nan")})
    contents = report_contents(tables_of(tmp_path, *demo_records(), bare), store_name="store")
    tables = [contents["overview"].table, contents["environments"], contents["reproduction"]]
    tables += [board.table for task in contents["leaderboard"] for board in task.boards]
    curves = [one for task in contents["sample_complexity"] for one in task.comparison_groups]
    tables += [table for one in curves for table in one.tables]
    tables += [part.table for task in contents["group_size_scaling"] for part in task.protocols]
    cells = [item for table in tables for row in table.rows for item in row]
    assert len(cells) > 1000
    assert all(item.text for item in cells)
    assert all(item.why or item.note for item in cells if item.mark == "missing")
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)


def test_only_what_every_row_changed_is_stated_once(tmp_path: Path) -> None:
    methods = ("egnn", "gnn-ga", "gnn-fa")
    records = [
        make_record(method=method, settings={"epochs": 2, **({"lr": 0.5} if method != "gnn-ga" else {})})
        for method in methods
    ]
    (board,) = leaderboard(tables_of(tmp_path, *records))[0].boards
    assert board.changed.endswith("in every row: epochs=2")
    assert {row[0].text: row[0].note for row in board.table.rows} == {
        "egnn": "lr=0.5",
        "gnn-fa": "lr=0.5",
        "gnn-ga": "",
    }


def test_deviations_of_another_version_of_a_method_are_not_known() -> None:
    spec = make_record().spec.to_dict()
    assert deviations(spec | {"method_version": "0"}) is None


def test_a_comparison_of_one_seed_has_no_interval_in_json_either() -> None:
    one = Interval(0.5, math.nan, math.nan)
    assert method_comparison._value(one) == {"value": 0.5, "low": None, "high": None}
    assert method_comparison.shown(one) == "0.5000"
