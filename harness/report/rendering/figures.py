"""Curves with bands, as data for plotly. The page sets the colours, since they depend on light or dark mode."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.report.rendering.cells import NO_FACETS, Badge, Facets
from harness.report.rendering.coinciding import Curve, Point, hidden
from harness.report.rendering.styles import EQUIVARIANT, OTHER, ROLES, Style

MAX_SERIES = 16
UNGROUPED = 8
"""A legend of more entries is grouped by sampler."""
_GROUPS = {"none": "no sampler", EQUIVARIANT: "equivariant", OTHER: "other samplers"}
ARROW = "triangle-up"
"""The marker, larger than the others, of a point whose value is only known to be larger."""
CENSORED = "censored"
Trace = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One method in one setting: the id of the setting, a name, which may be any text, a style, badges and facets."""

    id: str
    name: str
    style: Style
    badges: Sequence[Badge] = ()
    facets: Facets = NO_FACETS


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve with a band of one standard error.

    Attributes:
        series: The method that the curve belongs to.
        x: The positions of the points.
        y: The values; None for a point that is not drawn.
        stderr: The standard errors; None where the error is not known.
        markers: Whether points have markers, which a curve of many points does without.
        censored: For each point whether its value is only known to be larger than ``y``, which is drawn as an arrow;
            nowhere if empty.
    """

    series: Series
    x: Sequence[float]
    y: Sequence[float | None]
    stderr: Sequence[float | None]
    markers: bool = True
    censored: Sequence[bool] = ()


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A dashed reference curve with a label at its start."""

    x: Sequence[float]
    y: Sequence[float]
    text: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis.

    Attributes:
        title: The title of the axis.
        log: Whether the axis is logarithmic.
        ticks: The positions of the ticks; chosen by plotly if empty.
        labels: The texts of the ticks; the numbers themselves if empty.
        suffix: A unit after each number.
        ends: The ends of the axis; chosen from the points if None.
    """

    title: str
    log: bool = False
    ticks: Sequence[float] = ()
    labels: Sequence[str] = ()
    suffix: str = ""
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure.

    Attributes:
        title: The title above it.
        spec: Its data and layout for plotly.
        name: Its name among the figures of a group.
        caption: Sentences below it: on what it is measured, and which curves hide one another.
        rows: The number of rows of a heat map, which set its height; 0 for other figures.
    """

    title: str
    spec: Mapping[str, Any]
    name: str = ""
    caption: str = ""
    rows: int = 0


@dataclass(frozen=True, kw_only=True)
class FigureGroup:
    """Figures with a common legend.

    Attributes:
        id: The id of the group, unique in the page.
        title: What the figures are about.
        chips: Short labels above the figures.
        legend: The series, each of which can be hidden in all figures.
        figures: The figures.
        remarks: Sentences about what the figures leave out.
        choice: If not empty, one figure is shown at a time, and this word names what is chosen.
    """

    id: str
    title: str
    chips: tuple[str, ...]
    legend: Sequence[Series]
    figures: Sequence[Figure]
    remarks: Sequence[str]
    choice: str = ""

    @property
    def legend_groups(self) -> list[tuple[str, list[Series]]]:
        """The legend by sampler (:func:`by_sampler`)."""
        return by_sampler(self.legend)


def by_sampler(legend: Sequence[Series]) -> list[tuple[str, list[Series]]]:
    """The series of a legend by sampler, each group with its name; one group without a name if the legend is short."""
    if len(legend) <= UNGROUPED:
        return [("", list(legend))]
    groups = ((role, [one for one in legend if one.style.role == role]) for role in (*ROLES, OTHER, EQUIVARIANT))
    return [(_GROUPS.get(role, role), members) for role, members in groups if members]


def figure(
    title: str, lines: Sequence[Line], x: Axis, y: Axis, *, guide: Guide | None = None, caption: Sequence[str] = ()
) -> Figure:
    """A figure of curves over their bands, with an optional reference curve.

    The caption also says what a reader would miss: curves that coincide, and zeros on a logarithmic axis.
    """
    means = [value for line in lines for value in line.y if value is not None and value > 0]
    floor = min(means) / 3 if y.log and means else None
    bands = [trace for line in lines if (trace := _band(line, floor)) is not None]
    y = _with_ticks(y, means)
    traces = [*bands, *(_curve(line, y) for line in lines)]
    if guide is not None:
        traces.append(_guide(guide))
    said = hidden([Curve(line.series.name, _points(line)) for line in lines], log=y.log)
    return replace(figure_of_traces(title, traces, x, y), caption=" ".join((*caption, *said)))


def figure_of_traces(title: str, traces: Sequence[Trace], x: Axis, y: Axis, *, name: str = "") -> Figure:
    """A figure of traces. The ``meta`` of each trace has its colour (``role``) and the id of its ``series``."""
    layout = {
        "xaxis": _axis(x),
        "yaxis": _axis(y),
        "showlegend": False,
        "hovermode": "closest",
        "margin": {"l": 62, "r": 14, "t": 26, "b": 52},
    }
    spec = {"data": list(traces), "layout": layout}
    return Figure(title=title, spec=spec, name=name)


def scatter(**values: Any) -> Trace:
    """A scatter trace for plotly.

    ``go.Scatter`` would validate every value, which takes most of the time of a report. The tests validate all traces
    with plotly instead.
    """
    return {"type": "scatter"} | {name: value for name, value in values.items() if value is not None}


def needs_log_axis(values: Sequence[float | None]) -> bool:
    """Whether values suit a logarithmic axis: all are positive and the largest exceeds 30 times the smallest."""
    known = [value for value in values if value is not None]
    return bool(known) and min(known) > 0 and max(known) / min(known) > 30


def _points(line: Line) -> list[Point]:
    censored = line.censored or [False] * len(line.x)
    return [Point(*point) for point in zip(line.x, line.y, censored, strict=True)]


def _curve(line: Line, y: Axis) -> Trace:
    style = line.series.style
    shown = [point for point in _points(line) if point.y is not None]
    symbol = f"{style.symbol}-open" if style.hollow else style.symbol
    curve = scatter(
        x=[point.x for point in shown],
        y=[point.y for point in shown],
        name=html.escape(line.series.name, quote=False),
        mode="lines+markers" if line.markers else "lines",
        line={"dash": style.dash, "width": 2},
        marker={"symbol": symbol, "size": 7},
        hovertemplate=_hover(y),
        meta={"role": style.role, "series": line.series.id},
    )
    censored = [point.censored for point in shown]
    return _with_arrows(curve, censored, y) if any(censored) else curve


def _with_arrows(curve: Trace, censored: Sequence[bool], y: Axis) -> Trace:
    """The curve with arrows at the points whose value is only known to be larger."""
    marker = {
        "symbol": [ARROW if one else curve["marker"]["symbol"] for one in censored],
        "size": [13 if one else curve["marker"]["size"] for one in censored],
    }
    return {
        **curve,
        "mode": "lines+markers",
        "marker": marker,
        "hovertemplate": [_hover(y, "more than " if one else "") for one in censored],
        "cliponaxis": False,
        "meta": {**curve["meta"], CENSORED: list(censored)},
    }


def _hover(y: Axis, before: str = "") -> str:
    return f"<b>%{{fullData.name}}</b><br>%{{x}}: {before}%{{y:.4~g}}{y.suffix}<extra></extra>"


def _band(line: Line, floor: float | None) -> Trace | None:
    """The band of a line, or None if fewer than two points have an error.

    The lower edge is cut at ``floor``: a band that reaches zero would stretch a logarithmic axis.
    """
    points = [
        (a, b - error if floor is None else max(b - error, floor), b + error)
        for a, b, error in zip(line.x, line.y, line.stderr, strict=True)
        if b is not None and error
    ]
    if len(points) < 2:
        return None
    outline = [(a, high) for a, _, high in points] + [(a, low) for a, low, _ in reversed(points)]
    return scatter(
        x=[a for a, _ in outline],
        y=[b for _, b in outline],
        mode="lines",
        line={"width": 0},
        fill="toself",
        hoverinfo="skip",
        meta={"role": line.series.style.role, "series": line.series.id, "band": True},
    )


def _guide(guide: Guide) -> Trace:
    return scatter(
        x=list(guide.x),
        y=list(guide.y),
        mode="lines+text",
        text=[guide.text, *([""] * (len(guide.x) - 1))],
        textposition="top right",
        cliponaxis=False,
        line={"dash": "dash", "width": 1.25},
        hoverinfo="skip",
        meta={"role": "guide"},
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten, and 2 and 5 times these for less than two decades."""
    steps = (1,) if high >= 100 * low else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]


def _with_ticks(axis: Axis, values: Sequence[float]) -> Axis:
    """The axis with more ticks than plotly draws if it is logarithmic and its values are within two decades."""
    if not axis.log or axis.ticks or not values or max(values) >= 100 * min(values):
        return axis
    return replace(axis, ticks=log_ticks(min(values) / 1.2, max(values) * 1.2))


def _axis(axis: Axis) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "title": {"text": html.escape(axis.title, quote=False), "standoff": 8},
        "type": "log" if axis.log else "linear",
        "automargin": True,
        "zeroline": False,
        "fixedrange": False,
        "ticksuffix": axis.suffix,
    }
    if axis.ends:
        settings["range"] = [math.log10(end) if axis.log else end for end in axis.ends]
    if axis.ticks:
        labels = list(axis.labels) or [f"{tick:g}" for tick in axis.ticks]
        settings |= {"tickmode": "array", "tickvals": list(axis.ticks), "ticktext": labels}
    elif axis.log:
        settings |= {"exponentformat": "power", "dtick": 1, "minor": {"ticks": "outside", "dtick": "D1"}}
    return settings
