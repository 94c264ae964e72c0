"""A page that would be too large is cut where it says so, and what is drawn is what plotly takes."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go
import pytest

from harness.collate import collate
from harness.records.store import Store
from harness.report.rendering import size_limits
from harness.report.rendering.cells import Cell, Column, Table
from harness.report.rendering.figures import Figure, FigureGroup
from harness.report.rendering.size_limits import limit_size
from harness.report.report import report_contents
from tests.harness.synthetic import demo_records, write


def table(rows: int) -> Table:
    columns = [Column(title="a"), Column(title="b")]
    return Table(id=f"t{rows}", caption="", columns=columns, rows=[[Cell(text=str(n))] * 2 for n in range(rows)])


def group(points: int) -> FigureGroup:
    figure = Figure(title="", spec={"data": [{"x": list(range(points))}]})
    return FigureGroup(id="", title="", chips=(), legend=(), figures=(figure,), remarks=("kept",))


def test_long_tables_are_cut_and_say_so_and_short_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limits, "MAX_CELLS", 100)
    found = limit_size({"one": table(5), "more": (table(400), [table(90)])})
    assert found["one"] == table(5)
    first, (second,) = found["more"]
    assert [len(one.rows) for one in (first, second)] == [22, 22]
    assert first.remark == "The first 22 of 400 rows are shown. The files in tables/ have all of them."
    assert sum(2 * len(one.rows) for one in (found["one"], first, second)) <= 100


def test_figures_beyond_a_size_are_left_out_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limits, "MAX_FIGURE_BYTES", 1000)
    first, second = limit_size({"groups": [group(100), group(1000)]})["groups"]
    assert first == group(100)
    assert second.figures == () and second.remarks[0] == "kept" and "left out" in second.remarks[1]


def test_a_usual_page_is_whole_and_plotly_takes_its_figures(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write(store.root, *demo_records())
    contents = report_contents(collate(store), store_name="store")
    assert limit_size(contents) == contents
    groups = list(size_limits._find(contents, FigureGroup))
    assert groups
    for figure in (figure for one in groups for figure in one.figures):
        go.Figure(figure.spec)
