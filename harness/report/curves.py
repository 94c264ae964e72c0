"""Quality and estimator variance against the number of group samples k."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.collate import Tables
from harness.report.cells import Cell, Column, Table, missing
from harness.report.contests import Contest, Row, contests
from harness.report.figures import MOST_SERIES, Axis, Figure, FigureGroup, Line, Series, figure, suits_log
from harness.report.formats import counted, estimate, listed
from harness.report.leaderboard import by_task, method_cell
from harness.report.looks import look
from harness.report.titles import arrow, better, task_title

Curve = list[Row]
"""Points of one setting, by rising k."""


@dataclass(frozen=True, kw_only=True)
class TaskCurves:
    id: str
    title: str
    groups: tuple[FigureGroup, ...]
    tables: tuple[Table, ...]


def sample_curves(tables: Tables) -> list[TaskCurves]:
    """One entry per task that has curves."""
    return [
        _task(f"samples-{place}", task, contests(rows))
        for place, (task, rows) in enumerate(by_task(tables.sample_complexity).items(), start=1)
    ]


def series_of(rows: Iterable[Row]) -> list[Series]:
    """One per row; the second and later settings of a method are hollow and carry their label."""
    seen: defaultdict[str, int] = defaultdict(int)
    found = []
    rows = list(rows)
    methods = [row["method"] for row in rows]
    for row in rows:
        several = methods.count(row["method"]) > 1
        name = f"{row['method']} ({row['setting_label']})" if several and row["setting_label"] else row["method"]
        found.append(
            Series(
                id=row["setting"],
                name=name,
                look=look(row["sampler"], row["base_model"], hollow=seen[row["method"]] > 0),
            )
        )
        seen[row["method"]] += 1
    return found


def _task(id_: str, task: str, found: list[Contest]) -> TaskCurves:
    all_rows = [row for contest in found for row in contest.rows]
    metric, direction = found[0].metric, found[0].direction
    groups = tuple(
        _group(f"{id_}-{n}", contest, len(found)) for n, contest in enumerate(found, start=1) if contest.is_main
    )
    return TaskCurves(
        id=id_,
        title=task_title(task),
        groups=groups,
        tables=(
            _table(f"{id_}-metric", f"{metric} {arrow(direction)} by number of group samples k", all_rows, _quality),
            _table(f"{id_}-variance", "Estimator variance by number of group samples k", all_rows, _variance),
        ),
    )


def _curves(rows: Iterable[Row]) -> list[Curve]:
    grouped: defaultdict[str, Curve] = defaultdict(list)
    for row in rows:
        grouped[row["setting"]].append(row)
    return [sorted(curve, key=lambda row: row["samples"]) for curve in grouped.values()]


def _group(id_: str, contest: Contest, contests_of_task: int) -> FigureGroup:
    curves = sorted(_curves(contest.rows), key=lambda curve: _last(curve, contest.direction))
    shown = sorted(curves[:MOST_SERIES], key=lambda curve: (curve[0]["method"], curve[0]["setting"]))
    series = series_of(curve[0] for curve in shown)
    ticks = sorted({row["samples"] for curve in shown for row in curve})
    x = Axis(title="group samples k at evaluation", log=True, ticks=ticks)
    lines = [_line(of, curve, "mean", "stderr") for of, curve in zip(series, shown, strict=True)]
    values = [value for line in lines for value in line.y]
    y = Axis(title=f"{contest.metric} {arrow(contest.direction)}", log=suits_log(values))
    spread = [
        _line(of, _positive(curve), "variance", "variance_stderr") for of, curve in zip(series, shown, strict=True)
    ]
    spread = [line for line in spread if line.x]
    figures = [figure(f"{contest.metric} against k ({better(contest.direction)})", lines, x, y)]
    if spread:
        figures.append(_variance_figure(spread, x))
    protocol_chip = f"protocol {contest.protocol}"
    return FigureGroup(
        id=id_,
        title=f"{contest.task}, {protocol_chip}",
        chips=(protocol_chip, *contest.chips),
        legend=series,
        figures=figures,
        remarks=tuple(_remarks(shown, len(curves), contests_of_task, contest)),
    )


def _variance_figure(lines: Sequence[Line], x: Axis) -> Figure:
    """With a 1/k guide above all curves."""
    level = 2 * max(value * k for line in lines for k, value in zip(line.x, line.y, strict=True) if value is not None)
    ends = (min(x.ticks), max(x.ticks))
    y = Axis(title="variance of the k-sample prediction", log=True)
    return figure("Estimator variance against k", lines, x, y, guide=(ends, [level / k for k in ends]))


def _line(series: Series, curve: Curve, value: str, error: str) -> Line:
    return Line(
        series=series,
        x=[row["samples"] for row in curve],
        y=[row[value] for row in curve],
        stderr=[row[error] for row in curve],
    )


def _positive(curve: Curve) -> Curve:
    return [row for row in curve if row["variance"] is not None and row["variance"] > 0]


def _last(curve: Curve, direction: str) -> tuple[bool, float]:
    value = curve[-1]["mean"]
    return value is None, 0.0 if value is None else -value if direction == "max" else value


def _remarks(shown: Sequence[Curve], curves: int, contests_of_task: int, contest: Contest) -> Iterable[str]:
    yield "Bands are one standard error over seeds; where there is one seed there is no band."
    if curves > len(shown):
        yield f"{len(shown)} of {curves} curves are drawn, the best at their largest k; the table has all."
    if contests_of_task > 1:
        what = ", ".join((f"protocol {contest.protocol}", *contest.chips))
        yield f"Drawn: {what}. The task's other settings are in the table."
    exact = sorted({curve[0]["method"] for curve in shown if not _positive(curve)})
    if exact:
        yield (
            f"No chance in the prediction, so k changes nothing and the variance is zero (not on its "
            f"logarithmic axis): {listed(exact, 12)}."
        )


def _table(id_: str, caption: str, rows: Sequence[Row], cell: Any) -> Table:
    samples = sorted({row["samples"] for row in rows})
    return Table(
        id=id_,
        caption=caption,
        columns=[
            Column(title="Method"),
            Column(title="Protocol"),
            *(Column(title=f"k = {k}", numeric=True) for k in samples),
            Column(title="Seeds", why="Runs that gave a value", numeric=True),
        ],
        rows=[
            [
                method_cell(curve[0], curve[0]["setting_label"] or ""),
                Cell(text=curve[0]["protocol"], sort=curve[0]["protocol"]),
                *(cell(curve, k) for k in samples),
                Cell(text=_range([row["seeds"] for row in curve]), sort=max(row["seeds"] for row in curve)),
            ]
            for curve in _curves(rows)
        ],
    )


def _quality(curve: Curve, k: int) -> Cell:
    row = _at(curve, k)
    if row is None or row["mean"] is None:
        return _not_measured(curve, k)
    return Cell(text=estimate(row["mean"], row["stderr"]), sort=row["mean"], why=counted(row["seeds"], "seed"))


def _variance(curve: Curve, k: int) -> Cell:
    row = _at(curve, k)
    if row is None or row["variance"] is None:
        return _not_measured(curve, k)
    shown = "0" if row["variance"] == 0 else f"{row['variance']:#.3g}"
    return Cell(
        text=shown, sort=row["variance"], why="Exactly zero: no chance in the prediction" if shown == "0" else ""
    )


def _at(curve: Curve, k: int) -> Row | None:
    return next((row for row in curve if row["samples"] == k), None)


def _not_measured(curve: Curve, k: int) -> Cell:
    if _at(curve, k) is not None:
        return missing("No finite value")
    return missing(f"Not evaluated at k = {k}")


def _range(values: Sequence[int]) -> str:
    return str(values[0]) if min(values) == max(values) else f"{min(values)} to {max(values)}"
