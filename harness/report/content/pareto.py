"""Figures of score against cost, in which every method is a point, with the Pareto front."""

from __future__ import annotations

import html
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.report.content.captions import BARS, caption
from harness.report.content.comparison_groups import ComparisonGroup, Row
from harness.report.content.control_metrics import Score
from harness.report.content.devices import DEVICE, DEVICE_AND_STACK, device_text
from harness.report.content.titles import arrow, better
from harness.report.rendering.figures import (
    Axis,
    Figure,
    FigureGroup,
    Series,
    Trace,
    figure_of_traces,
    log_ticks,
    needs_log_axis,
    scatter,
)
from harness.report.rendering.formats import counted, duration, estimate, listed, memory, operations, plain, seconds

MAX_POINTS = 40
FRONT = "front"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A cost that is measured.

    Attributes:
        column: The column of the table ``costs``.
        name: What the cost is called.
        axis: The title of its axis.
        shown: How a value is written.
        scale: The factor from the unit of the column to that of the axis.
        device_columns: The columns that must be equal if two values are compared.
    """

    column: str
    name: str
    axis: str
    shown: Callable[[float | None], str]
    scale: float = 1.0
    device_columns: tuple[str, ...] = ()


MEASURES = (
    Measure(column="flops_per_example", name="FLOPs", axis="FLOPs per example", shown=operations),
    Measure(
        column="seconds_per_example",
        name="time",
        axis="milliseconds per example",
        shown=seconds,
        scale=1e3,
        device_columns=DEVICE,
    ),
    Measure(
        column="peak_memory_bytes",
        name="memory",
        axis="MiB at evaluation",
        shown=memory,
        scale=2.0**-20,
        device_columns=DEVICE,
    ),
    Measure(
        column="train_seconds",
        name="training time",
        axis="seconds of training",
        shown=duration,
        device_columns=DEVICE_AND_STACK,
    ),
    Measure(column="parameters", name="parameters", axis="parameters", shown=plain),
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A method in one setting on one device: its series, its row and the score by which it is ranked."""

    series: Series
    row: Row
    score: Score

    def key(self, device_columns: Sequence[str] = DEVICE_AND_STACK) -> tuple[Any, ...]:
        """What identifies a point if costs are distinguished by ``device_columns`` only."""
        return (self.series.id, *(self.row[name] for name in device_columns))


def on_front(costs: Sequence[float], losses: Sequence[float]) -> list[bool]:
    """Which points are on the Pareto front; lower is better in cost and loss.

    A point is dominated if another one is at least as good in both and better in one. The front is what is left.
    """
    cost, loss = np.asarray(costs, dtype=float), np.asarray(losses, dtype=float)
    as_good = (cost[:, None] <= cost) & (loss[:, None] <= loss)
    better_in_one = (cost[:, None] < cost) | (loss[:, None] < loss)
    return [not dominated for dominated in np.any(as_good & better_in_one, axis=0)]


def front_columns(points: Sequence[Point], comparison_group: ComparisonGroup) -> list[list[str]]:
    """For each point the columns of the costs in which it is on the Pareto front of its device."""
    found: list[list[str]] = [[] for _ in points]
    for measure in MEASURES:
        best = {
            point.key(measure.device_columns)
            for known in _comparable(points, measure)
            for point, is_best in zip(known, _front(known, measure, comparison_group), strict=True)
            if is_best
        }
        for point, columns in zip(points, found, strict=True):
            if point.key(measure.device_columns) in best:
                columns.append(measure.column)
    return found


def pareto_figures(
    id_: str, comparison_group: ComparisonGroup, points: Sequence[Point], protocol: str
) -> FigureGroup | None:
    """A figure for each cost and each device. Returns None if no point has a score and a cost.

    Args:
        id_: The id of the group of figures.
        comparison_group: The rows that may be compared.
        points: One for each row.
        protocol: The protocol as the reader sees it, which says if the settings of all rows were changed.
    """
    on = {point.key(): columns for point, columns in zip(points, front_columns(points, comparison_group), strict=True)}
    scored = [point for point in points if point.score.mean is not None]
    shown = sorted(scored, key=lambda point: not on[point.key()])[:MAX_POINTS]
    figures = [figure for measure in MEASURES for figure in _figures(comparison_group, shown, measure)]
    if not figures:
        return None
    return FigureGroup(
        id=id_,
        title=f"{comparison_group.task}, protocol {comparison_group.protocol}",
        chips=(f"protocol {protocol}", *comparison_group.chips),
        legend=sorted({point.series.id: point.series for point in shown}.values(), key=lambda series: series.name),
        figures=figures,
        remarks=tuple(_remarks(points, scored, shown)),
        choice="Cost",
    )


def _remarks(points: Sequence[Point], scored: Sequence[Point], shown: Sequence[Point]) -> list[str]:
    remarks = [
        caption((point.row for point in shown), BARS),
        "The front is computed from the means, so a method whose bar reaches the front may belong to it.",
    ]
    if len(shown) < len(scored):
        remarks.append(
            f"{len(shown)} of {len(scored)} points are drawn: those on the fronts, then the best. The table has all."
        )
    if absent := sorted({point.row["method"] for point in points if point.score.mean is None}):
        remarks.append(f"Not drawn, since they are not ranked: {listed(absent, 12)}.")
    for measure in MEASURES:
        known = {point.series.id for known in _comparable(shown, measure) for point in known}
        unknown = sorted({point.row["method"] for point in shown if point.series.id not in known})
        if known and unknown:
            remarks.append(f"Not in the figure of {measure.name}, since it was not measured: {listed(unknown, 12)}.")
    return remarks


def _comparable(points: Sequence[Point], measure: Measure) -> list[list[Point]]:
    """The points with a score and a positive cost, each once, by device; the device with most points is first."""
    known = {
        point.key(measure.device_columns): point
        for point in points
        if point.score.mean is not None and (point.row[measure.column] or 0) > 0
    }
    by_device: defaultdict[str, list[Point]] = defaultdict(list)
    for point in known.values():
        by_device[device_text(point.row, measure.device_columns)].append(point)
    return [by_device[name] for name in sorted(by_device, key=lambda name: (-len(by_device[name]), name))]


def _front(points: Sequence[Point], measure: Measure, comparison_group: ComparisonGroup) -> list[bool]:
    sign = -1.0 if comparison_group.direction == "max" else 1.0
    losses = [sign * point.score.mean for point in points if point.score.mean is not None]
    return on_front([point.row[measure.column] for point in points], losses)


def _figures(comparison_group: ComparisonGroup, points: Sequence[Point], measure: Measure) -> list[Figure]:
    by_device = _comparable(points, measure)
    if len(by_device) == 1:
        return [_figure(comparison_group, by_device[0], measure)]
    return [
        _figure(comparison_group, known, measure, on_device=f" on {device_text(known[0].row, measure.device_columns)}")
        for known in by_device
    ]


def _figure(
    comparison_group: ComparisonGroup, points: Sequence[Point], measure: Measure, on_device: str = ""
) -> Figure:
    on = _front(points, measure, comparison_group)
    best = sorted(
        (point for point, is_best in zip(points, on, strict=True) if is_best),
        key=lambda point: point.row[measure.column],
    )
    middle = math.sqrt(
        min(point.row[measure.column] for point in points) * max(point.row[measure.column] for point in points)
    )
    y = Axis(
        title=f"{comparison_group.metric} {arrow(comparison_group.direction)}",
        log=needs_log_axis([point.score.mean for point in points]),
    )
    traces = [
        _staircase(best, measure),
        *(
            _marker(point, measure, comparison_group.metric, is_best, middle)
            for point, is_best in zip(points, on, strict=True)
        ),
    ]
    name = f"{measure.name}{on_device}"
    title = f"{comparison_group.metric} against {name} ({better(comparison_group.direction)})"
    return figure_of_traces(title, traces, _cost_axis(points, measure), y, name=name)


def _cost_axis(points: Sequence[Point], measure: Measure) -> Axis:
    return cost_axis(measure.axis, [point.row[measure.column] * measure.scale for point in points])


def cost_axis(title: str, values: Sequence[float]) -> Axis:
    """A logarithmic axis with ticks at powers of ten; also at 2 and 5 times these for less than two decades."""
    ticks = log_ticks(min(values) / 1.2, max(values) * 1.2)
    return Axis(title=title, log=True, ticks=ticks, labels=[tick_text(tick) for tick in ticks])


def tick_text(value: float) -> str:
    """A round number on an axis: ``20``, ``5 M``."""
    return f"{value:g}" if value < 1e3 else operations(value).replace(".00", "").replace(".0", "")


def _staircase(best: Sequence[Point], measure: Measure) -> Trace:
    """The front as a line with a step at each of its points: the best score that is reached for a cost."""
    return scatter(
        x=[point.row[measure.column] * measure.scale for point in best],
        y=[point.score.mean for point in best],
        mode="lines",
        line={"shape": "hv", "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        meta={"role": "guide", FRONT: True},
    )


def _marker(point: Point, measure: Measure, metric: str, is_best: bool, middle: float) -> Trace:
    """The marker of a point, with its name beside it if it is on the front.

    The name is written towards the ``middle`` of the axis, where there is room for it.
    """
    style, row = point.series.style, point.row
    name = html.escape(point.series.name, quote=False)
    words = [
        f"<b>{name}</b>",
        f"{measure.name}: {measure.shown(row[measure.column])}",
        f"{html.escape(metric, quote=False)}: {estimate(point.score.mean, point.score.stderr)} "
        f"({counted(row['score_seeds'], 'seed')})",
        *(html.escape(badge.text, quote=False) for badge in point.series.badges),
        *(["on the Pareto front"] if is_best else []),
    ]
    return scatter(
        x=[row[measure.column] * measure.scale],
        y=[point.score.mean],
        error_y={"type": "data", "array": [point.score.stderr or 0.0], "thickness": 1, "width": 0},
        name=name,
        mode="markers+text" if is_best else "markers",
        text=[name] if is_best else None,
        textposition="top right" if row[measure.column] <= middle else "top left",
        marker={
            "symbol": f"{style.symbol}-open" if style.hollow else style.symbol,
            "size": 12 if is_best else 8,
            "opacity": 1.0 if is_best else 0.65,
        },
        hovertext="<br>".join(words),
        hoverinfo="text",
        meta={"role": style.role, "series": point.series.id, FRONT: is_best},
    )
