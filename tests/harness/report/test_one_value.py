"""A method shows one value everywhere: the one that ranks it, and never a better one that is not sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import pytest

from harness.collate import Tables, collate
from harness.collate.comparison import compare
from harness.records.store import Store
from harness.report.rendering.cells import Cell, Table
from harness.report.rendering.figures import FigureGroup
from harness.report.report import report_contents
from tests.harness.synthetic import make_record, write

SOUND, UNSEPARATED = 40_000_000.0, 0.0
TRANSFORMED, ORIGINAL = 0.9, 0.00123
SHOWN = {"mlp-ga": SOUND, "mlp-fa": SOUND, "mlp-none": TRANSFORMED}
PLAIN = {"mlp-ga": UNSEPARATED, "mlp-fa": UNSEPARATED, "mlp-none": ORIGINAL}
METRICS = ("unseparated", "mse")
T = TypeVar("T", Table, FigureGroup)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Two methods that separate everything but not soundly, and one that is good on the original inputs only."""
    store = Store(tmp_path_factory.mktemp("one_value") / "store")
    records = []
    for seed in range(5):
        records += [
            make_record("graph8c", name, seed=seed, value=UNSEPARATED, control=SOUND)
            for name in PLAIN
            if name != "mlp-none"
        ]
        records += [make_record("graph8c", "gin", seed=seed, value=970.0 + seed)]
        for nodes in (4, 8):
            size = {"nodes": nodes}
            records += [
                make_record("nbody", "mlp-none", seed=seed, value=ORIGINAL, control=TRANSFORMED, task_params=size),
                make_record("nbody", "egnn", seed=seed, value=0.1 + seed / 100, task_params=size),
            ]
    write(store.root, *records)
    return collate(store)


@pytest.fixture(scope="module")
def contents(tables: Tables) -> dict[str, Any]:
    return report_contents(tables, store_name="store")


def found(value: Any, kind: type[T]) -> Iterator[T]:
    if isinstance(value, kind):
        yield value
    elif is_dataclass(value):
        for item in fields(value):
            yield from found(getattr(value, item.name), kind)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from found(one, kind)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from found(one, kind)


def test_no_figure_draws_the_value_that_does_not_rank_a_method(contents: dict[str, Any]) -> None:
    scored = 0
    for group in found(contents, FigureGroup):
        names = {one.id: one.name for one in group.legend}
        for figure in group.figures:
            if not figure.spec["layout"]["yaxis"]["title"]["text"].startswith(METRICS):
                continue
            for trace in figure.spec["data"]:
                name = names.get(trace["meta"].get("series"), "")
                if name in SHOWN and not trace["meta"].get("band"):
                    scored += 1
                    assert set(trace["y"]) == {SHOWN[name]}, figure.title
    assert scored >= 10


def test_no_table_says_the_value_that_does_not_rank_a_method(contents: dict[str, Any]) -> None:
    """Only the leaderboard has both, beside each other."""
    seen = 0
    for table in found(contents, Table):
        titles = [column.title for column in table.columns]
        for row in table.rows:
            if row[0].text not in PLAIN:
                continue
            scores = _scores(titles, row, is_board=table.id.startswith("board"), is_curve=table.id.endswith("-metric"))
            seen += len(scores)
            assert all(cell.sort in (None, SHOWN[row[0].text]) for cell in scores), (table.caption, scores)
    assert seen > 20


def _scores(titles: list[str], row: Any, *, is_board: bool, is_curve: bool) -> list[Cell]:
    """The cells with scores by which a reader would compare."""
    by_title = dict(zip(titles, row, strict=True))
    return [
        cell
        for title, cell in by_title.items()
        if title.startswith("IQM")
        or (title.startswith((*METRICS, "Limit of")) and not is_board)
        or (title.startswith("k =") and is_curve)
    ]


def test_marks_are_on_the_score_that_ranks(contents: dict[str, Any]) -> None:
    for table in found(contents["leaderboard"], Table):
        first = table.rows[0]
        assert first[0].text in ("gin", "egnn")
        assert first[2].mark == "best"
        assert first[1].text == "1" and {row[1].text for row in table.rows[1:]} <= {"2", "2="}


def test_methods_that_are_not_sound_are_marked_in_every_table_and_legend(contents: dict[str, Any]) -> None:
    marks = {"mlp-ga": "not sound", "mlp-fa": "not sound", "mlp-none": "not symmetric"}
    sections = [contents[name] for name in ("leaderboard", "costs", "sample_complexity", "group_size_scaling")]
    for table in found(sections, Table):
        for first, *_ in table.rows:
            assert marks.get(first.text, "") in [badge.text for badge in first.badges] or first.text not in marks
            assert first.text in marks or not {badge.text for badge in first.badges} & {*marks.values()}
    for group in found(sections, FigureGroup):
        for one in group.legend:
            assert [badge.text for badge in one.badges] == ([marks[one.name]] if one.name in marks else [])


def test_comparisons_and_ranks_use_the_same_score(tables: Tables) -> None:
    (comparison,) = compare(tables.runs, "mlp-ga", "gin")
    assert (comparison.first, comparison.improvement.value) == (SOUND, 0.0)
    score = dict(tables.accuracy.select("method", "score").iter_rows())
    assert {name: score[name] for name in SHOWN} == SHOWN
    best = tables.ranks.filter(rank=1.0)["method"].to_list()
    assert best and not {*best} & {*SHOWN}
