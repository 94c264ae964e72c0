"""Heat maps: every number is in its cell, in the page, in vector graphics and in the data, and empty cells say so."""

from __future__ import annotations

import html
import re
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.figures import NamedFigure, data, write_figure
from harness.report.rendering.figures import FigureGroup
from harness.report.rendering.heat_map import Estimate, Numbers, Scale, common_scale, heat_map
from harness.report.rendering.vector import Layout

NASTY = "</script><b>k</b> {{ 7*7 }} $x$"
CELLS = {(1, 1): Estimate(0.5, 0.1), (1, 10): Estimate(5e-7), (5, 1): Estimate(0.0)}
NUMBERS = Numbers(rows=[1, 5, 20], columns=[1, 10], cells=CELLS)
DRAWN = heat_map("a map", NUMBERS, ("trained", NASTY), common_scale([NUMBERS]))


def test_every_number_is_written_and_empty_cells_and_rows_have_a_word() -> None:
    cells, words = DRAWN.spec["data"]
    assert cells["text"] == [["0.50", "5.0e-7"], ["0", ""], ["", ""]]
    assert cells["meta"]["values"] == [[0.5, 5e-7], [0.0, None], [None, None]]
    assert list(zip(words["x"], words["y"], words["text"], strict=True)) == [(1, 1, "not run"), (0.5, 2, "not run")]
    assert words["meta"]["whole_row"] == [False, True]
    assert "0.50 ± 0.10" in cells["hovertext"][0][0] and "not run" in cells["hovertext"][2][1]
    go.Figure(DRAWN.spec)


def test_the_colours_of_a_logarithmic_scale_start_with_the_smallest_positive_number() -> None:
    cells = DRAWN.spec["data"][0]
    assert cells["z"][1][0] == cells["zmin"] == cells["z"][0][1] < cells["z"][0][0] == cells["zmax"]


def test_the_data_have_a_row_for_every_cell() -> None:
    assert data(DRAWN, []).rows()[:4] == [
        ("trained = 1", 1.0, 0.5, 0.4, 0.6, False),
        ("trained = 1", 10.0, 5e-7, None, None, False),
        ("trained = 5", 1.0, 0.0, None, None, False),
        ("trained = 5", 10.0, None, None, None, False),
    ]
    assert data(DRAWN, []).height == 6


def test_a_vector_drawing_has_the_numbers(tmp_path: Path) -> None:
    group = FigureGroup(id="g", title="t", chips=(), legend=(), figures=[DRAWN], remarks=())
    write_figure({"one": NamedFigure(name="one", group=group, figure=DRAWN)}, "one", tmp_path / "f.svg", Layout())
    written = ["".join(one.itertext()) for one in ElementTree.parse(tmp_path / "f.svg").iter() if "text" in one.tag]
    assert {"0.50", "5.0e-7", "0", "not run", "trained", "20"} <= {*written}
    assert written.count("not run") == 2


def test_names_stay_text() -> None:
    hover = DRAWN.spec["data"][0]["hovertext"][0][0]
    assert html.escape(NASTY, quote=False) in hover
    assert DRAWN.spec["layout"]["xaxis"]["title"]["text"] == html.escape(NASTY, quote=False)


@given(st.dictionaries(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.floats(0, 1e6), min_size=1), st.floats(0, 9))
def test_larger_numbers_have_stronger_colours_and_texts_fit(cells: dict[tuple[int, int], float], extra: float) -> None:
    maps = [Numbers(rows=range(10), columns=range(10), cells={k: Estimate(v) for k, v in cells.items()})]
    maps.append(Numbers(rows=[1], columns=[1], cells={(1, 1): Estimate(extra)}))
    scale = common_scale(maps)
    values = sorted([*cells.values(), extra])
    places = [scale.place(value) for value in values]
    assert places == sorted(places)
    assert all(scale.place(scale.low) <= place <= scale.place(scale.high) for place in places)


@given(st.floats(1e-9, 999.0))
def test_a_number_on_a_logarithmic_scale_has_two_digits_in_at_most_six_letters(value: float) -> None:
    written = Scale(low=1e-9, high=1e3, log=True).written(value)
    assert len(written) <= 6 and float(written) == pytest.approx(value, rel=0.0501)


def test_numbers_are_readable_on_every_colour_in_both_modes() -> None:
    """The contrast of the text and both ends of the scale is at least 4.5, as WCAG 2 asks for."""
    style = files("harness.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    for mode in style.split("prefers-color-scheme: dark")[:2]:
        colours = dict(re.findall(r"--(ink|heat-low|heat-high): #([0-9a-f]{6})", mode.split("box-sizing")[0]))
        for end in ("heat-low", "heat-high"):
            bright, dark = sorted((luminance(colours[end]), luminance(colours["ink"])), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
