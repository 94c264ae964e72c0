"""Figures of the report as vector graphics for a paper, drawn by matplotlib from the data that the page has."""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from harness.report.rendering.figures import Figure, Series, Trace
from harness.report.rendering.heat_map import HEAT_MAP, MISSING, WHOLE_ROW

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DASHES: Mapping[str, Any] = {
    "solid": "-",
    "dash": (0, (5, 2)),
    "dot": (0, (1, 1.5)),
    "dashdot": (0, (5, 1.5, 1, 1.5)),
    "longdash": (0, (8, 2.5)),
}
MARKERS: Mapping[str, str] = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "x": "X",
    "cross": "P",
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The size and the type of a figure.

    Attributes:
        width: In inches; 3.25 is the column of most conferences with two columns.
        height: In inches, without the legend.
        font_size: In points.
        font: The family: ``serif``, ``sans-serif`` or ``monospace``.
    """

    width: float = 3.25
    height: float = 2.2
    font_size: float = 8.0
    font: str = "serif"

    def columns(self, names: Sequence[str]) -> int:
        """The number of columns that a legend of these names can have."""
        widest = max(map(len, names), default=0) + 5  # the sample of the line and the space around it
        return max(1, int(self.width / (widest * self.letter)))

    @property
    def letter(self) -> float:
        """The width of a letter in inches, about half the size of the type."""
        return 0.5 * self.font_size / 72

    @property
    def line(self) -> float:
        """The height of a line of the legend in inches."""
        return 1.6 * self.font_size / 72


def draw(figure: Figure, legend: Sequence[Series], path: Path, layout: Layout) -> None:
    """Writes a figure with its legend to ``path``, in the format of its suffix.

    Text stays text (``.svg``) or is embedded as TrueType (``.pdf``), and equal figures are equal files.

    Raises:
        OSError: The file cannot be written.
    """
    settings: dict[Any, Any] = {
        "font.size": layout.font_size,
        "font.family": layout.font,
        "mathtext.fontset": "stix" if layout.font == "serif" else "dejavusans",
        "svg.fonttype": "none",
        "svg.hashsalt": "symbench",
        "pdf.fonttype": 42,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings):
        drawn = {trace["meta"].get("series") for trace in figure.spec["data"]}
        shown = [series for series in legend if series.id in drawn]
        rows = math.ceil(len(shown) / layout.columns([one.name for one in shown]))
        canvas = Canvas(figsize=(layout.width, layout.height + rows * layout.line), layout="constrained")
        axes = canvas.add_subplot()
        for trace in figure.spec["data"]:
            _trace(axes, trace)
        _axis(axes.xaxis, figure.spec["layout"]["xaxis"], layout.width / layout.letter)
        _axis(axes.yaxis, figure.spec["layout"]["yaxis"], 0.85 * layout.height / layout.letter)
        _legend(canvas, shown, layout)
        canvas.savefig(path, metadata=_undated(path))


def _undated(path: Path) -> dict[str, None]:
    """Metadata without the time, so that a figure that did not change is the same file."""
    return {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(path.suffix[1:], {})


def _trace(axes: Axes, trace: Trace) -> None:
    if trace["type"] == HEAT_MAP:
        _heat_map(axes, trace)
        return
    meta, mode = trace["meta"], str(trace["mode"])
    colour = _colours()[meta["role"]]
    x, y = list(trace["x"]), list(trace["y"])
    if meta.get(MISSING):
        for word, whole in zip(zip(x, y, trace["text"], strict=True), meta[WHOLE_ROW], strict=True):
            _written(axes, [word], colour, None if whole else _fitting(axes, trace["text"]))
        return
    if meta.get("band"):
        axes.fill(x, y, color=colour, alpha=0.15, linewidth=0)
        return
    line, marker = trace.get("line", {}), trace.get("marker", {})
    axes.errorbar(
        x,
        y,
        yerr=trace["error_y"]["array"] if "error_y" in trace else None,
        color=colour,
        linestyle=DASHES[line.get("dash", "solid")] if "lines" in mode else "none",
        linewidth=0.5 * line.get("width", 2),
        drawstyle="steps-post" if line.get("shape") == "hv" else "default",
        alpha=marker.get("opacity", 1.0),
        elinewidth=0.6,
    )
    if "markers" in mode:
        _markers(axes, x, y, marker, colour)
    if "text" in mode:
        for place, text in zip(zip(x, y, strict=True), trace["text"], strict=True):
            axes.annotate(_plain(text), place, xytext=(2, 3), textcoords="offset points", color=colour)


def _heat_map(axes: Axes, trace: Trace) -> None:
    """Draws cells with their numbers, and no lines around them."""
    colours = LinearSegmentedColormap.from_list("heat", [_colours()["heat-low"], _colours()["heat-high"]])
    z = np.array(trace["z"], dtype=float)  # NaN for an empty cell
    axes.pcolormesh(trace["x"], trace["y"], z, cmap=colours, vmin=trace["zmin"], vmax=trace["zmax"], edgecolor="white")
    axes.set(xlim=(-0.5, len(trace["x"]) - 0.5), ylim=(len(trace["y"]) - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    texts = [text for row in trace["text"] for text in row]
    places = ((x, y) for y in trace["y"] for x in trace["x"])
    _written(axes, ((*at, text) for at, text in zip(places, texts, strict=True)), "black", _fitting(axes, texts))


def _fitting(axes: Axes, texts: Sequence[str]) -> float:
    """The size of type in points with which texts fit into the columns of a heat map, at most that of the figure."""
    columns = abs(axes.get_xlim()[1] - axes.get_xlim()[0])
    width = 72 * 0.85 * axes.figure.bbox.width / axes.figure.dpi / columns
    return min(matplotlib.rcParams["font.size"], width / (0.6 * max(map(len, texts))))


def _written(axes: Axes, texts: Iterable[tuple[float, float, str]], colour: str, size: float | None) -> None:
    for x, y, text in texts:
        axes.text(x, y, _plain(text), color=colour, fontsize=size, ha="center", va="center")


def _markers(axes: Axes, x: Sequence[float], y: Sequence[float], marker: Mapping[str, Any], colour: str) -> None:
    """Draws the markers of a trace; its symbol and size are one for all points, or one for each."""
    symbols, sizes = marker["symbol"], marker.get("size", 7)
    each = zip(symbols, sizes, strict=True) if isinstance(symbols, list) else [(symbols, sizes)] * len(x)
    points: defaultdict[tuple[str, float], list[tuple[float, float]]] = defaultdict(list)
    for place, how in zip(zip(x, y, strict=True), each, strict=True):
        points[how].append(place)
    for (symbol, size), places in points.items():
        name, is_open, _ = symbol.partition("-open")
        axes.plot(
            *zip(*places, strict=True),
            color=colour,
            linestyle="none",
            marker=MARKERS[name],
            markersize=0.5 * size,
            markerfacecolor="white" if is_open else colour,
            markeredgewidth=0.7,
            alpha=marker.get("opacity", 1.0),
            clip_on=False,
            zorder=3,
        )


def _axis(axis: Any, settings: Mapping[str, Any], letters: float) -> None:
    if settings["type"] == "log":
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    if "range" in settings:
        ends = [10**end if settings["type"] == "log" else end for end in settings["range"]]
        axis.axes.set(**{f"{axis.axis_name}lim": ends})
    axis.set_label_text(textwrap.fill(_plain(settings["title"]["text"]), max(1, int(letters))))
    if "tickvals" in settings:
        texts = [_plain(text) + settings.get("ticksuffix", "") for text in settings["ticktext"]]
        axis.set_major_locator(FixedLocator(settings["tickvals"]))
        axis.set_major_formatter(FixedFormatter(texts))
        axis.set_minor_locator(NullLocator())


def _legend(canvas: Canvas, series: Sequence[Series], layout: Layout) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=_colours()[one.style.role],
            linestyle=DASHES[one.style.dash],
            linewidth=1.0,
            marker=MARKERS[one.style.symbol],
            markersize=3.5,
            markerfacecolor="white" if one.style.hollow else _colours()[one.style.role],
            label=_no_formula(one.name),
        )
        for one in series
    ]
    if handles:
        columns = layout.columns([one.name for one in series])
        canvas.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def _plain(text: str) -> str:
    """Text for matplotlib from text for a page."""
    return _no_formula(html.unescape(re.sub(r"<[^>]*>", " ", text)))


def _no_formula(text: str) -> str:
    """The text, in which matplotlib would read a formula between two dollars."""
    return text.replace("$", r"\$")


@cache
def _colours() -> Mapping[str, str]:
    """The colours of the page in light mode, by role."""
    style = files("harness.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    light = style.partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
