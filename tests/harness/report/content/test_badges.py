"""A run that departs from its protocol says so beside its name, with what was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.collate import collate
from harness.records.record import Record
from harness.records.store import Store
from harness.report import write_report
from harness.report.content.settings import protocol_text
from harness.report.rendering.cells import Badge
from harness.report.report import report_contents
from tests.harness.synthetic import make_record, renamed, write

CHANGED = Badge(text="quick, changed", why="Changed from the protocol: epochs=7")


def records(*changed: str, others: tuple[str, ...] = ()) -> list[Record]:
    return [
        make_record(
            "nbody", method, seed=seed, value=0.1 + seed / 100, settings={"epochs": 7} if method in changed else {}
        )
        for method in (*changed, *others)
        for seed in (0, 1)
    ]


def contents(folder: Path, *found: Record) -> dict[str, Any]:
    write(folder / "store", *found)
    return report_contents(collate(Store(folder / "store")), store_name="store")


def test_a_changed_run_has_a_badge_in_all_tables_and_legends(tmp_path: Path) -> None:
    found = contents(tmp_path, *records("gnn-ga", others=("egnn",)))
    (board,), (cost,), (curves,) = (
        found["leaderboard"][0].boards,
        found["costs"][0].comparison_groups,
        found["sample_complexity"][0].comparison_groups,
    )
    for table in (board.table, cost.table, *curves.tables):
        assert {row[0].text: tuple(row[0].badges) for row in table.rows} == {"gnn-ga": (CHANGED,), "egnn": ()}
    for group in (cost.figure_group, curves.figure_group):
        assert {one.name: tuple(one.badges) for one in group.legend} == {"gnn-ga": (CHANGED,), "egnn": ()}
    assert [board.protocol, cost.protocol, curves.protocol] == ["quick"] * 3
    (ranking,) = found["ranks_across_tasks"]
    (badge,) = next(row[0].badges for row in ranking.table.rows if row[0].text == "gnn-ga")
    assert (badge.text, badge.why) == (CHANGED.text, f"nbody: {CHANGED.why}")


def test_a_table_of_changed_runs_is_not_under_the_plain_name_of_its_protocol(tmp_path: Path) -> None:
    found = contents(tmp_path, *records("gnn-ga", "egnn"))
    (board,), (cost,), (curves,) = (
        found["leaderboard"][0].boards,
        found["costs"][0].comparison_groups,
        found["sample_complexity"][0].comparison_groups,
    )
    assert [board.protocol, cost.protocol, curves.protocol] == ["quick, changed"] * 3
    assert [group.chips[0] for group in (cost.figure_group, curves.figure_group)] == ["protocol quick, changed"] * 2
    assert board.changed == "Changed from the published settings of quick in every row: epochs=7"


def test_more_samples_in_training_are_a_change_too(tmp_path: Path) -> None:
    """They have a column of their own in the tables of curves, so no label names them there."""
    changed = make_record("nbody", "gnn-ga", settings={"train_samples": 7})
    (curves,) = contents(tmp_path, changed, make_record("nbody", "egnn"))["sample_complexity"][0].comparison_groups
    (row,) = (row for row in curves.tables[0].rows if row[0].text == "gnn-ga")
    assert [badge.why for badge in row[0].badges] == ["Changed from the protocol: train_samples=7"]
    assert row[0].note == ""


def test_a_run_whose_protocol_is_not_known_has_no_badge(tmp_path: Path) -> None:
    unknown = renamed(make_record("nbody", "gnn-ga", settings={"epochs": 7}), method="of_another_package")
    found = contents(tmp_path, unknown, make_record("nbody", "egnn"))
    assert all(not row[0].badges for row in found["leaderboard"][0].boards[0].table.rows)


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (
            "html",
            [
                "quick, changed",
                'title="Changed from the protocol: epochs=7"',
                ": Changed from the protocol: epochs=7</",
            ],
        ),
        ("md", ['<span title="Changed from the protocol: epochs=7">quick, changed</span>', "epochs=7"]),
        ("tex", [r"{\footnotesize (quick, changed; epochs=7)}"]),
    ],
)
def test_every_format_says_what_was_changed(tmp_path: Path, ending: str, said: list[str]) -> None:
    store = Store(tmp_path / "store")
    write(store.root, *records("gnn-ga", others=("egnn",)))
    paths = {path.suffix[1:]: path for path in write_report(collate(store), store, tmp_path)}
    text = paths[ending].read_text(encoding="utf-8")
    assert all(one in text for one in said)


def test_the_name_of_a_protocol() -> None:
    assert protocol_text("paper", {"settings.lr": 0.1}) == "paper, changed"
    assert protocol_text("paper", {}) == protocol_text("paper", None) == "paper"
