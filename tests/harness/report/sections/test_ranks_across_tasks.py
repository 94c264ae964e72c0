"""The sections on ranks and on changes, in both forms of the report and on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.collate import collate
from harness.records.store import Store
from harness.report import write_report
from harness.report.sections.leaderboard import leaderboard
from harness.report.sections.ranks_across_tasks import ranks_across_tasks
from tests.harness.synthetic import make_record, renamed, write

NASTY = "<script>alert(1)</script>|*x*"


def fill(root: Path, shift: float = 0.0, failing: bool = False, seeds: int = 5) -> Store:
    for place, method in enumerate(("first", "second", NASTY)):
        for task in ("one", "two"):
            for seed in range(seeds):
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
        assert "Changes since" not in page
    (ranking,) = ranks_across_tasks(collate(store))
    assert [[cell.text for cell in row[:3]] for row in ranking.table.rows] == [
        ["first", "1", "1 [1, 1]"],
        ["second", "2", "2 [2, 2]"],
        [NASTY, "3", "3 [3, 3]"],
    ]
    assert [row[3].why for row in ranking.table.rows] == ["Differs significantly from all others"] * 3


def test_the_rule_of_ranks_is_stated_once_and_below_five_seeds_all_share_the_first(tmp_path: Path) -> None:
    store = fill(tmp_path / "store", seeds=4)
    tables = collate(store)
    for path in write_report(tables, store, tmp_path):
        assert path.read_text().count("With fewer than 5 seeds no difference is claimed") == 1, path
    (ranking,) = ranks_across_tasks(tables)
    assert [row[1].text for row in ranking.table.rows] == ["1="] * 3
    assert [row[3].text for row in ranking.table.rows] == [f"{NASTY}, second", f"{NASTY}, first", "first, second"]
    for task in leaderboard(tables):
        rows = [row for board in task.boards for row in board.table.rows]
        assert [row[1].text for row in rows] == ["1="] * 3
        assert [row[2].mark for row in rows] == ["best", "", ""]


def test_the_first_ranking_of_a_protocol_is_its_main_one_and_names_who_is_not_in_it(tmp_path: Path) -> None:
    both = [renamed(make_record(value=n), task=task, method=name) for task in "xy" for n, name in enumerate("abc")]
    late = renamed(make_record(value=0.5), task="x", method="late")
    tuned = [
        renamed(make_record(value=lr, settings={"lr": lr}), task=task, method="tuned")
        for task in "xy"
        for lr in (0.1, 0.2)
    ]
    write(tmp_path / "store", *both, late, *tuned)
    found = ranks_across_tasks(collate(Store(tmp_path / "store")))
    assert [ranking.is_main for ranking in found] == [True, False]
    assert [[row[0].text for row in ranking.table.rows] for ranking in found] == [
        ["a", "b", "c"],
        ["a", "late", "b", "c"],
    ]
    several = "Not compared, since only validation may choose one of their several settings: tuned."
    assert found[0].remarks == ("Not compared, since they have no value on one of these tasks: late.", several)
    assert found[1].remarks == (several,)


def test_leaderboard_and_ranks_of_one_task_have_the_same_places(tmp_path: Path) -> None:
    """Two differ significantly, two do not, and one has too few seeds."""
    chance = np.random.default_rng(0)
    qualities = {"a": (1.0, 6), "b": (2.0, 6), "c": (3.0, 7), "d": (3.0, 5), "e": (2.5, 4)}
    for method, (quality, seeds) in qualities.items():
        for seed in range(seeds):
            value = quality + 0.1 * chance.normal()
            write(tmp_path / "store", renamed(make_record(seed=seed, value=value), task="one", method=method))
    tables = collate(Store(tmp_path / "store"))
    (task,), (ranking,) = leaderboard(tables), ranks_across_tasks(tables)
    (board,) = task.boards
    expected = {"a": "1", "b": "2", "c": "3=", "d": "3=", "e": "–"}  # noqa: RUF001
    for table in (board.table, ranking.table):
        assert {row[0].text: row[1].text for row in table.rows} == expected
        assert {row[0].text: row[1].why for row in table.rows if row[1].why} == {"e": "Not ranked: too few seeds"}
    assert {row[0].text: row[2].mark for row in board.table.rows} == {"a": "best"} | dict.fromkeys("bcde", "")


@pytest.mark.parametrize(
    ("shift", "failing", "code", "words"),
    [
        (0.0, False, 0, "6 results in both: no change beyond noise"),
        (-0.5, False, 0, "6 results in both: 2 better"),
        (0.5, False, 1, "6 results in both: 2 worse"),
        (0.0, True, 1, "6 results in both: 2 lost"),
    ],
)
def test_the_exit_code_is_1_if_a_result_is_worse(
    tmp_path: Path, shift: float, failing: bool, code: int, words: str
) -> None:
    fill(tmp_path / "before" / "store")
    fill(tmp_path / "now" / "store", shift, failing)
    options = ["--store", str(tmp_path / "now" / "store"), "--against", str(tmp_path / "before")]
    done = CliRunner().invoke(app, ["report", *options])
    assert (done.exit_code, words in done.output) == (code, True), done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("Regression: 2 results are" if code else "No regression found")
    assert lines[1].startswith(words)
    table = next((place for place, line in enumerate(lines) if line.startswith("Method ")), None)
    assert (table is None) == ("no change" in words) and (table is None or table > 1)
    for name in ("leaderboard.html", "leaderboard.md"):
        page = (tmp_path / "now" / name).read_text()
        assert "Changes since" in page and words in page
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
    assert "10 runs imported, 20 were here already" in imported.output
    assert "10 of them have a run here with other numbers" in imported.output
    assert runner.invoke(app, ["report", "--store", str(store)]).exit_code == 0
    for name in ("leaderboard.html", "leaderboard.md"):
        assert re.search(r"run by lab-[0-9a-f]{8}", (store.parent / name).read_text())
