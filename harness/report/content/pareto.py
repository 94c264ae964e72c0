"""Quality against cost: every method is a point, and the Pareto front joins those that no other beats in both."""

from __future__ import annotations

import html
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.report.content.comparison_groups import Contest, Row
from harness.report.content.control_metrics import Score
from harness.report.content.devices import DEVICE, DEVICE_AND_STACK, where
from harness.report.content.titles import arrow, better
from harness.report.rendering.figures import Axis, Figure, FigureGroup, Series, Trace, drawn, scatter, suits_log
from harness.report.rendering.formats import counted, duration, estimate, listed, memory, operations, plain, seconds

MOST_POINTS = 40
FRONT = "front"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A cost: the column that holds it, its name, the axis it is drawn on and how its values are written.

    Two costs are compared where the columns ``apart`` are the same.
    """

    column: str
    name: str
    axis: str
    shown: Callable[[float | None], str]
    scale: float = 1.0
    apart: tuple[str, ...] = ()


MEASURES = (
    Measure(column="flops_per_example", name="FLOPs", axis="FLOPs per example", shown=operations),
    Measure(
        column="seconds_per_example", name="time", axis="milliseconds per example", shown=seconds, scale=1e3,
        apart=DEVICE,
    ),
    Measure(
        column="peak_memory_bytes", name="memory", axis="MiB at evaluation", shown=memory, scale=2.0**-20,
        apart=DEVICE,
    ),
    Measure(
        column="train_seconds", name="training time", axis="seconds of training", shown=duration,
        apart=DEVICE_AND_STACK,
    ),
    Measure(column="parameters", name="parameters", axis="parameters", shown=plain),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Point:
    """A method in one setting on one device, its row and the score it is ranked by."""

    series: Series
    row: Row
    score: Score

    def place(self, apart: Sequence[str] = DEVICE_AND_STACK) -> tuple[Any, ...]:
        """What two points with the same cost have in common."""
        return (self.series.id, *(self.row[name] for name in apart))


def on_front(costs: Sequence[float], losses: Sequence[float]) -> list[bool]:
    """Which points no other beats: none is at least as good in both and better in one. Lower is better in both."""
    cost, loss = np.asarray(costs, dtype=float), np.asarray(losses, dtype=float)
    cheaper, finer = cost[:, None] <= cost, loss[:, None] <= loss
    better_in_one = (cost[:, None] < cost) | (loss[:, None] < loss)
    beaten = np.any(cheaper & finer & better_in_one, axis=0)
    return [not one for one in beaten]


def fronts(points: Sequence[Point], contest: Contest) -> list[list[str]]:
    """Of each point, the columns of the costs by which it is on the front of its device."""
    found: list[list[str]] = [[] for _ in points]
    for measure in MEASURES:
        best = {
            point.place(measure.apart)
            for known in _comparable(points, measure)
            for point, is_best in zip(known, _front(known, measure, contest), strict=True)
            if is_best
        }
        for point, columns in zip(points, found, strict=True):
            if point.place(measure.apart) in best:
                columns.append(measure.column)
    return found


def pareto(id_: str, contest: Contest, points: Sequence[Point]) -> FigureGroup | None:
    """One figure for each cost that was measured and each device; ``None`` where a score is missing everywhere."""
    on = {point.place(): columns for point, columns in zip(points, fronts(points, contest), strict=True)}
    scored = [point for point in points if point.score.mean is not None]
    shown = sorted(scored, key=lambda point: not on[point.place()])[:MOST_POINTS]
    figures = [figure for measure in MEASURES for figure in _figures(contest, shown, measure)]
    if not figures:
        return None
    protocol_chip = f"protocol {contest.protocol}"
    return FigureGroup(
        id=id_,
        title=f"{contest.task}, {protocol_chip}",
        chips=(protocol_chip, *contest.chips),
        legend=sorted({point.series.id: point.series for point in shown}.values(), key=lambda series: series.name),
        figures=figures,
        remarks=tuple(_remarks(points, scored, shown)),
        choice="Cost",
    )


def _remarks(points: Sequence[Point], scored: Sequence[Point], shown: Sequence[Point]) -> list[str]:
    remarks = [
        "Bars are one standard error over seeds. The front is that of the means: a method whose bar reaches it may "
        "belong to it."
    ]
    if len(shown) < len(scored):
        remarks.append(
            f"{len(shown)} of {len(scored)} points are drawn, those of the fronts first, then the best; the table has "
            "all."
        )
    if absent := sorted({point.row["method"] for point in points if point.score.mean is None}):
        remarks.append(f"Not drawn, since no score ranks them: {listed(absent, 12)}.")
    for measure in MEASURES:
        known = {point.series.id for known in _comparable(shown, measure) for point in known}
        unknown = sorted({point.row["method"] for point in shown if point.series.id not in known})
        if known and unknown:
            remarks.append(f"Not in the figure of {measure.name}, which was not measured: {listed(unknown, 12)}.")
    return remarks


def _comparable(points: Sequence[Point], measure: Measure) -> list[list[Point]]:
    """What has a place on the logarithmic axis of the cost, each once, by device; where most ran comes first."""
    known = {
        point.place(measure.apart): point
        for point in points
        if point.score.mean is not None and (point.row[measure.column] or 0) > 0
    }
    by_device: defaultdict[str, list[Point]] = defaultdict(list)
    for point in known.values():
        by_device[where(point.row, measure.apart)].append(point)
    return [by_device[name] for name in sorted(by_device, key=lambda name: (-len(by_device[name]), name))]


def _front(points: Sequence[Point], measure: Measure, contest: Contest) -> list[bool]:
    sign = -1.0 if contest.direction == "max" else 1.0
    losses = [sign * point.score.mean for point in points if point.score.mean is not None]
    return on_front([point.row[measure.column] for point in points], losses)


def _figures(contest: Contest, points: Sequence[Point], measure: Measure) -> list[Figure]:
    groups = _comparable(points, measure)
    apart = len(groups) > 1
    return [_figure(contest, known, measure, where(known[0].row, measure.apart) if apart else "") for known in groups]


def _figure(contest: Contest, points: Sequence[Point], measure: Measure, device: str) -> Figure:
    on = _front(points, measure, contest)
    best = sorted(
        (point for point, is_best in zip(points, on, strict=True) if is_best),
        key=lambda point: point.row[measure.column],
    )
    middle = math.sqrt(
        min(point.row[measure.column] for point in points) * max(point.row[measure.column] for point in points)
    )
    y = Axis(
        title=f"{contest.metric} {arrow(contest.direction)}",
        log=suits_log([point.score.mean for point in points]),
    )
    traces = [
        _staircase(best, measure),
        *(_marker(point, measure, contest.metric, is_best, middle) for point, is_best in zip(points, on, strict=True)),
    ]
    name = f"{measure.name} on {device}" if device else measure.name
    title = f"{contest.metric} against {name} ({better(contest.direction)})"
    return drawn(title, traces, _cost_axis(points, measure), y, name=name)


def _cost_axis(points: Sequence[Point], measure: Measure) -> Axis:
    """Powers of ten, and 2 and 5 times them where the costs span less than two decades."""
    values = [point.row[measure.column] * measure.scale for point in points]
    low, high = min(values) / 1.2, max(values) * 1.2
    steps = (1,) if high >= 100 * low else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    return Axis(title=measure.axis, log=True, ticks=ticks, labels=[_tick(tick) for tick in ticks])


def _tick(value: float) -> str:
    return f"{value:g}" if value < 1e3 else operations(value).replace(".00", "").replace(".0", "")


def _staircase(best: Sequence[Point], measure: Measure) -> Trace:
    """What can be had for a cost: a step down at each point of the front."""
    return scatter(
        x=[point.row[measure.column] * measure.scale for point in best],
        y=[point.score.mean for point in best],
        mode="lines",
        line={"shape": "hv", "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        meta={"role": "guide", FRONT: True},
    )


def _marker(point: Point, measure: Measure, metric: str, is_best: bool, middle: float) -> Trace:
    """Names stand towards the ``middle`` of the costs, where there is room."""
    look, row = point.series.look, point.row
    name = html.escape(point.series.name, quote=False)
    words = [
        f"<b>{name}</b>",
        f"{measure.name}: {measure.shown(row[measure.column])}",
        f"{html.escape(metric, quote=False)}: {estimate(point.score.mean, point.score.stderr)} "
        f"({counted(row['seeds'], 'seed')})",
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
            "symbol": f"{look.symbol}-open" if look.hollow else look.symbol,
            "size": 12 if is_best else 8,
            "opacity": 1.0 if is_best else 0.65,
        },
        hovertext="<br>".join(words),
        hoverinfo="text",
        meta={"role": look.role, "series": point.series.id, FRONT: is_best},
    )
