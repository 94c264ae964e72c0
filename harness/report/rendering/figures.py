"""Curves with bands, as data for plotly. The page sets the colours, since they depend on light or dark mode."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.rendering.cells import NO_FACETS, Facets
from harness.report.rendering.styles import Style

MAX_SERIES = 16
Trace = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One method in one setting: the id of the setting, a name, which may be any text, a style, and its facets."""

    id: str
    name: str
    style: Style
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
    """

    series: Series
    x: Sequence[float]
    y: Sequence[float | None]
    stderr: Sequence[float | None]
    markers: bool = True


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
    """

    title: str
    log: bool = False
    ticks: Sequence[float] = ()
    labels: Sequence[str] = ()
    suffix: str = ""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure: its title, its data and layout for plotly, and its name among the figures of a group."""

    title: str
    spec: Mapping[str, Any]
    name: str = ""


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


def figure(title: str, lines: Sequence[Line], x: Axis, y: Axis, *, guide: Guide | None = None) -> Figure:
    """A figure of curves over their bands, with an optional reference curve."""
    means = [value for line in lines for value in line.y if value is not None and value > 0]
    floor = min(means) / 3 if y.log and means else None
    bands = [trace for line in lines if (trace := _band(line, floor)) is not None]
    traces = [*bands, *(_curve(line, x, y) for line in lines)]
    if guide is not None:
        traces.append(_guide(guide))
    return figure_of_traces(title, traces, x, y)


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


def _curve(line: Line, x: Axis, y: Axis) -> Trace:
    style = line.series.style
    shown = [(a, b) for a, b in zip(line.x, line.y, strict=True) if b is not None]
    return scatter(
        x=[a for a, _ in shown],
        y=[b for _, b in shown],
        name=html.escape(line.series.name, quote=False),
        mode="lines+markers" if line.markers else "lines",
        line={"dash": style.dash, "width": 2},
        marker={"symbol": f"{style.symbol}-open" if style.hollow else style.symbol, "size": 7},
        hovertemplate=f"<b>%{{fullData.name}}</b><br>%{{x}}: %{{y:.4~g}}{y.suffix}<extra></extra>",
        meta={"role": style.role, "series": line.series.id},
    )


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


def _axis(axis: Axis) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "title": {"text": html.escape(axis.title, quote=False), "standoff": 8},
        "type": "log" if axis.log else "linear",
        "automargin": True,
        "zeroline": False,
        "fixedrange": False,
        "ticksuffix": axis.suffix,
    }
    if axis.ticks:
        labels = list(axis.labels) or [f"{tick:g}" for tick in axis.ticks]
        settings |= {"tickmode": "array", "tickvals": list(axis.ticks), "ticktext": labels}
    elif axis.log:
        settings |= {"exponentformat": "power", "dtick": 1, "minor": {"ticks": "outside", "dtick": "D1"}}
    return settings
