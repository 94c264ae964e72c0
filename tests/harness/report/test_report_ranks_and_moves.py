"""The sections on ranks and on what moved, in both forms of the report and on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.collate import collate
from harness.records.store import Store
from harness.report import write_report
from harness.report.ranks import rank_leagues
from tests.harness.synthetic import make_record, renamed, write

NASTY = "<script>alert(1)</script>|*x*"


def fill(root: Path, shift: float = 0.0, failing: bool = False) -> Store:
    for place, method in enumerate(("first", "second", NASTY)):
        for task in ("one", "two"):
            for seed in range(4):
                value = place + 0.01 * seed + shift * (method == "second")
                error = "It broke." if failing and method == "first" else None
                write(root, renamed(make_record(seed=seed, value=value, error=error), task=task, method=method))
    return Store(root)


def test_ranks_are_in_both_forms_and_names_stay_text(tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    pages = [path.read_text() for path in write_report(collate(store), store, tmp_path)]
    for page in pages:
        assert "Ranks across tasks" in page and "Mean rank over 2 tasks: one, two" in page
        assert "<script>alert" not in page
        assert "What moved" not in page
    (league,) = rank_leagues(collate(store))
    assert [[cell.text for cell in row[:3]] for row in league.table.rows] == [
        ["first", "1", "1 [1, 1]"],
        ["second", "2", "2 [2, 2]"],
        [NASTY, "3", "3 [3, 3]"],
    ]


@pytest.mark.parametrize(
    ("shift", "failing", "code", "words"),
    [
        (0.0, False, 0, "6 cells in both: none moved"),
        (-0.5, False, 0, "6 cells in both: 2 better"),
        (0.5, False, 1, "6 cells in both: 2 worse"),
        (0.0, True, 1, "6 cells in both: 2 lost"),
    ],
)
def test_the_exit_code_tells_of_what_is_worse(
    tmp_path: Path, shift: float, failing: bool, code: int, words: str
) -> None:
    fill(tmp_path / "before" / "store")
    fill(tmp_path / "now" / "store", shift, failing)
    options = ["--store", str(tmp_path / "now" / "store"), "--against", str(tmp_path / "before")]
    done = CliRunner().invoke(app, ["report", *options])
    assert (done.exit_code, words in done.output) == (code, True), done.output
    for name in ("leaderboard.html", "leaderboard.md"):
        page = (tmp_path / "now" / name).read_text()
        assert "What moved" in page and words in page
    moved = [line for line in page.splitlines() if line.startswith("|") and "second" in line and "| better" in line]
    assert bool(moved) == ("better" in words)


def test_imported_runs_name_their_source(tmp_path: Path) -> None:
    fill(tmp_path / "theirs" / "store")
    store = tmp_path / "mine" / "store"
    fill(store, shift=0.25)
    runner = CliRunner()
    exported = runner.invoke(
        app, ["export", str(tmp_path / "lab.zip"), "--store", str(tmp_path / "theirs" / "store"), "--name", "lab"]
    )
    assert exported.exit_code == 0, exported.output
    imported = runner.invoke(app, ["import", str(tmp_path / "lab.zip"), "--store", str(store)])
    assert "8 runs imported, 16 were here already" in imported.output
    assert "8 of them have a run here with other numbers" in imported.output
    assert runner.invoke(app, ["report", "--store", str(store)]).exit_code == 0
    for name in ("leaderboard.html", "leaderboard.md"):
        assert re.search(r"run by lab-[0-9a-f]{8}", (store.parent / name).read_text())
