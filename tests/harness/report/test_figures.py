"""Single figures of a report: their names, their files and their data."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from harness.collate import collate
from harness.errors import SettingsError, StoreError, UnknownName
from harness.records.store import Store
from harness.report.figures import FORMATS, NamedFigure, data, named_figures, write_figure
from harness.report.rendering.figures import Axis, FigureGroup, Line, Series, figure
from harness.report.rendering.styles import method_style
from harness.report.rendering.vector import Layout
from harness.report.report import report_contents
from tests.harness.synthetic import demo_records, write

ROOT = Path(__file__).parents[3]
FIGURE = ROOT / "docs" / "figures" / "equivariance_error.svg"


def texts_of(path: Path) -> set[str]:
    return {"".join(one.itertext()) for one in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NamedFigure]:
    store = Store(tmp_path_factory.mktemp("figures") / "store")
    write(store.root, *demo_records(seeds=5))
    return named_figures(report_contents(collate(store), store_name="store"))


def one_line(name: str, x: list[float], y: list[float | None]) -> NamedFigure:
    series = Series(id="a", name=name, style=method_style("ps", "mlp"))
    line = Line(series=series, x=x, y=y, stderr=[0.5] * len(x))
    drawn = figure("a figure", [line], Axis(title="k", log=True), Axis(title="mse ↓"))
    group = FigureGroup(id="g", title="a task", chips=(), legend=[series], figures=[drawn], remarks=())
    return NamedFigure(name="one", group=group, figure=drawn)


def test_every_figure_of_a_report_has_a_name_and_is_drawn(figures: dict[str, NamedFigure], tmp_path: Path) -> None:
    assert len(figures) >= 10
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+", name) for name in figures)
    for number, (name, found) in enumerate(figures.items()):
        out = tmp_path / f"{number}.svg"
        write_figure(figures, name, out, Layout(width=7))
        drawn = {trace["meta"].get("series") for trace in found.figure.spec["data"]}
        assert {one.name for one in found.group.legend if one.id in drawn} <= texts_of(out), name


def test_a_figure_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    write_figure({"one": one_line("mlp-ps", [1, 10], [2.0, 1.0])}, "one", tmp_path / "f.svg", Layout(width=3.25))
    width = ElementTree.parse(tmp_path / "f.svg").getroot().attrib["width"]
    assert float(width.removesuffix("pt")) == pytest.approx(3.25 * 72)


@pytest.mark.parametrize("suffix", FORMATS)
def test_equal_figures_are_equal_files(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_figure({"one": one_line("mlp-ps", [1, 10], [2.0, 1.0])}, "one", tmp_path / (name + suffix), Layout())
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes() != b""


def test_the_data_are_the_points_with_one_standard_error() -> None:
    found = one_line("mlp-ps", [1, 10, 100], [2.0, None, 1.0])
    assert data(found.figure, found.group.legend).rows() == [
        ("mlp-ps", 1.0, 2.0, 1.5, 2.5, False),
        ("mlp-ps", 100.0, 1.0, 0.5, 1.5, False),
    ]


def test_names_that_are_formulas_for_a_spreadsheet_or_for_matplotlib_are_texts(tmp_path: Path) -> None:
    found = {"one": one_line("=1+1$x^2$ <b>", [1, 10], [2.0, 1.0])}
    write_figure(found, "one", tmp_path / "f.csv", Layout())
    assert pl.read_csv(tmp_path / "f.csv")["series"][0].startswith("'=")
    write_figure(found, "one", tmp_path / "f.svg", Layout())
    assert "=1+1$x^2$ <b>" in texts_of(tmp_path / "f.svg")


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    found = {"one": one_line("mlp-ps", [1, 10], [2.0, 1.0])}
    with pytest.raises(UnknownName, match="did you mean 'one'"):
        write_figure(found, "on", tmp_path / "f.svg", Layout())
    with pytest.raises(SettingsError, match=r"ends in \.pdf"):
        write_figure(found, "one", tmp_path / "f.gif", Layout())
    with pytest.raises(StoreError, match="cannot be written"):
        write_figure(found, "one", tmp_path / "missing" / "f.svg", Layout())


def test_the_figure_of_the_readme_is_made_by_the_command_beside_it(tmp_path: Path) -> None:
    store = Store(ROOT / "results" / "published" / "sample_complexity_small")
    figures = named_figures(report_contents(collate(store, out=tmp_path / "tables"), store_name="store"))
    layout = Layout(width=7, height=2.8, font="sans-serif")
    write_figure(figures, "exp_classify-protocol-paper/equivariance-error-against-k", tmp_path / "f.svg", layout)
    assert texts_of(tmp_path / "f.svg") == texts_of(FIGURE)
