"""A value that is only known to be larger is an arrow at the edge: in the page, in vector graphics and in the data."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go
from matplotlib.figure import Figure as Canvas

from harness.report.content.curves import needed_axis, needed_line
from harness.report.figures import NamedFigure, data, write_figure
from harness.report.rendering import vector
from harness.report.rendering.figures import ARROW, Axis, Figure, FigureGroup, Series, figure
from harness.report.rendering.styles import method_style
from harness.report.rendering.vector import Layout

SERIES = Series(id="a", name="mlp-ps", style=method_style("ps", "mlp"))
ROWS = [
    {"size": 4, "samples_needed": 8.0, "samples_most": 64},
    {"size": 8, "samples_needed": None, "samples_most": 64},
    {"size": 16, "samples_needed": float("inf"), "samples_most": 64},
]


def drawn() -> Figure:
    line = needed_line(SERIES, ROWS, "size")
    return figure("Samples needed", [line], Axis(title="n", log=True), needed_axis([line]))


def test_more_samples_than_were_measured_are_an_arrow_at_the_largest_k() -> None:
    (curve,) = drawn().spec["data"]
    assert (curve["x"], curve["y"]) == ([4, 16], [8.0, 64])
    assert curve["marker"]["symbol"] == ["circle", ARROW]
    first, last = curve["hovertemplate"]
    assert "more than" not in first and "%{x}: more than %{y:" in last
    assert drawn().spec["layout"]["yaxis"]["tickvals"] == [1, 8.0, 64]
    go.Figure(drawn().spec)


def test_data_and_vector_graphics_have_the_arrow(tmp_path: Path) -> None:
    assert data(drawn(), [SERIES])["censored"].to_list() == [False, True]
    axes = Canvas().add_subplot()
    vector._trace(axes, drawn().spec["data"][0])
    marked = {line.get_marker(): list(line.get_xydata()[0]) for line in axes.lines if line.get_marker() != "None"}
    assert marked == {"o": [4, 8], vector.MARKERS[ARROW]: [16, 64]}
    group = FigureGroup(id="g", title="t", chips=(), legend=[SERIES], figures=[drawn()], remarks=())
    write_figure({"one": NamedFigure(name="one", group=group, figure=drawn())}, "one", tmp_path / "f.svg", Layout())
    assert "mlp-ps" in (tmp_path / "f.svg").read_text(encoding="utf-8")
