"""Curves with bands, as plotly draws them. Colours are left to the page, which knows whether it is dark."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.rendering.styles import Look

MOST_SERIES = 16
Trace = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One method in one setting; ``name`` may be any text."""

    id: str
    name: str
    look: Look


@dataclass(frozen=True, kw_only=True)
class Line:
    """``y`` against ``x`` with a band of one standard error; a ``None`` in ``y`` is left out.

    Many points go without ``markers``.
    """

    series: Series
    x: Sequence[float]
    y: Sequence[float | None]
    stderr: Sequence[float | None]
    markers: bool = True


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A dashed reference curve with its name at its beginning."""

    x: Sequence[float]
    y: Sequence[float]
    text: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """``ticks`` are placed where measured; ``labels`` name them."""

    title: str
    log: bool = False
    ticks: Sequence[float] = ()
    labels: Sequence[str] = ()
    suffix: str = ""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """``name`` is what it is called where a reader chooses among the figures of a group."""

    title: str
    spec: Mapping[str, Any]
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class FigureGroup:
    """Figures with one legend; ``remarks`` say what they leave out.

    With a ``choice`` one figure is shown at a time, and that word says what a reader chooses.
    """

    id: str
    title: str
    chips: tuple[str, ...]
    legend: Sequence[Series]
    figures: Sequence[Figure]
    remarks: Sequence[str]
    choice: str = ""


def figure(title: str, lines: Sequence[Line], x: Axis, y: Axis, *, guide: Guide | None = None) -> Figure:
    """Bands lie below all curves."""
    means = [value for line in lines for value in line.y if value is not None and value > 0]
    floor = min(means) / 3 if y.log and means else None
    bands = [trace for line in lines if (trace := _band(line, floor)) is not None]
    traces = [*bands, *(_curve(line, x, y) for line in lines)]
    if guide is not None:
        traces.append(_guide(guide))
    return drawn(title, traces, x, y)


def drawn(title: str, traces: Sequence[Trace], x: Axis, y: Axis, *, name: str = "") -> Figure:
    """Traces on two axes; the ``meta`` of each says its colour (``role``) and whose it is (``series``)."""
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
    """A trace as plotly's ``go.Scatter`` writes it, without its check of every value: that took most of the time of a
    report. The tests have plotly check what is drawn."""
    return {"type": "scatter"} | {name: value for name, value in values.items() if value is not None}


def suits_log(values: Sequence[float | None]) -> bool:
    """Whether all values are positive and span more than a factor of 30."""
    known = [value for value in values if value is not None]
    return bool(known) and min(known) > 0 and max(known) / min(known) > 30


def _curve(line: Line, x: Axis, y: Axis) -> Trace:
    look = line.series.look
    shown = [(a, b) for a, b in zip(line.x, line.y, strict=True) if b is not None]
    return scatter(
        x=[a for a, _ in shown],
        y=[b for _, b in shown],
        name=html.escape(line.series.name, quote=False),
        mode="lines+markers" if line.markers else "lines",
        line={"dash": look.dash, "width": 2},
        marker={"symbol": f"{look.symbol}-open" if look.hollow else look.symbol, "size": 7},
        hovertemplate=f"<b>%{{fullData.name}}</b><br>%{{x}}: %{{y:.4~g}}{y.suffix}<extra></extra>",
        meta={"role": look.role, "series": line.series.id},
    )


def _band(line: Line, floor: float | None) -> Trace | None:
    """Cut at ``floor``, without which a band that reaches zero would stretch a logarithmic axis."""
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
        meta={"role": line.series.look.role, "series": line.series.id, "band": True},
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
