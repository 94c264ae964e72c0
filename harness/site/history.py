"""How a result changed over time: the score of a method each time that it ran, by date, source and version."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from harness.collate.accuracy import accuracy
from harness.report.content import control_metrics
from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.methods import method_cell, method_series
from harness.report.content.settings import Changes, changed_settings, setting_label, shared_changes
from harness.report.content.titles import arrow, better, card_id, task_title
from harness.report.rendering.cells import Cell, Column, Table, missing, text
from harness.report.rendering.figures import MAX_SERIES, Axis, Figure, FigureGroup, Line, figure, needs_log_axis
from harness.report.rendering.formats import estimate, moment, plain
from harness.spec import without_neutral

_VERSIONS = ("task_version", "method_version")
_WHEN = ("source", "git_commit", "symbench_version", *_VERSIONS)
"""Runs of the same settings that differ in one of these are separate points."""


@dataclass(frozen=True, kw_only=True)
class History:
    """The history of results.

    Attributes:
        figure_groups: Scores against time, for each comparison group with a result that was measured twice.
        table: One row for each point, the latest of a result first.
        remark: A sentence about what the figures show.
    """

    figure_groups: tuple[FigureGroup, ...]
    table: Table
    remark: str


@dataclass(frozen=True, kw_only=True)
class _Point:
    """The runs of one result that belong together, and their score. ``before`` is the point before, if there is one."""

    row: Row
    group: ComparisonGroup
    score: control_metrics.Score
    label: str
    before: control_metrics.Score | None


def history(runs: pl.DataFrame, *, id_: str = "history", repeated_only: bool = False) -> History:
    """The history of all results in ``runs``.

    Args:
        runs: The table ``runs``.
        id_: The start of the ids in the page.
        repeated_only: Leaves out the results that were measured once.
    """
    groups = _groups(runs)
    drawn = [repeated for lines in groups if (repeated := [line for line in lines if len(line) > 1])]
    listed = drawn if repeated_only else groups
    points = [point for lines in listed for line in lines for point in reversed(line)]
    return History(
        figure_groups=tuple(_figures(f"{id_}-{n}", lines) for n, lines in enumerate(drawn, start=1)),
        table=_table(f"{id_}-table", points),
        remark="A point is the mean over the runs of one source with the same code and versions, at the date of the "
        "last of them. The bars are one standard error over seeds. A difference is no proof of a change: see the seeds."
        if drawn
        else "Every result was measured once so far, so there is no change to draw.",
    )


def _groups(runs: pl.DataFrame) -> list[list[list[_Point]]]:
    """For each comparison group, for each of its results: the points, the earliest first."""
    if runs.is_empty():
        return []
    marked = _marked(runs)
    changes = changed_settings(marked)
    when = marked.group_by("setting").agg(
        pl.col("line", "git_commit", "symbench_version", "ran_task_version").first(),
        pl.col("finished").max(),
        pl.col("git_dirty").any(),
    )
    rows = accuracy(marked.lazy()).collect().join(when, on="setting", how="left", maintain_order="left")
    return [_lines(group, changes) for of_task in by_task(rows).values() for group in comparison_groups(of_task)]


def _marked(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs with ``line``, the settings without versions, and a ``setting`` that is different for each point."""
    specs = runs.unique("setting", keep="first").select("setting", "spec_json")
    lines = pl.DataFrame(
        {"setting": specs["setting"], "line": [_without_versions(spec) for spec in specs["spec_json"]]},
        schema={"setting": pl.String, "line": pl.String},
    )
    point = pl.struct("line", *_WHEN).struct.json_encode()
    return runs.join(lines, on="setting", how="left", maintain_order="left").with_columns(
        pl.col("task_version").alias("ran_task_version"),
        pl.col("task_version").sort_by("finished", nulls_last=False).last().over("task"),
        point.alias("setting"),
    )


def _without_versions(spec_json: str) -> str:
    spec = without_neutral(json.loads(spec_json))
    return json.dumps({name: value for name, value in spec.items() if name not in _VERSIONS}, sort_keys=True)


def _lines(group: ComparisonGroup, changes: Changes) -> list[list[_Point]]:
    common = shared_changes(group.rows, changes)
    by_line: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in group.rows:
        by_line[row["method"], row["line"]].append(row)
    found = []
    for _, rows in sorted(by_line.items()):
        line: list[_Point] = []
        for row in sorted(rows, key=lambda row: row["finished"] or datetime.min.replace(tzinfo=UTC)):
            before = line[-1].score if line else None
            label = setting_label(row, changes, common)
            score = control_metrics.score(row)
            line.append(_Point(row=row, group=group, score=score, label=label, before=before))
        found.append(line)
    return found


def _figures(id_: str, lines: Sequence[Sequence[_Point]]) -> FigureGroup:
    group = lines[0][0].group
    shown = lines[:MAX_SERIES]
    labels = {line[0].row["setting"]: line[0].label for line in shown}
    series = method_series((line[0].row for line in shown), labels)
    dated = [[point for point in line if point.row["finished"] and point.score.mean is not None] for line in shown]
    drawn = [
        Line(
            series=of,
            x=[point.row["finished"].timestamp() for point in line],
            y=[point.score.mean for point in line],
            stderr=[None] * len(line),
        )
        for of, line in zip(series, dated, strict=True)
    ]
    log = needs_log_axis([value for line in drawn for value in line.y])
    y = Axis(title=f"{group.metric} {arrow(group.direction)}", log=log)
    made = figure(f"{group.metric} over time ({better(group.direction)})", drawn, Axis(title="date of the last run"), y)
    errors = {of.id: [point.score.stderr for point in line] for of, line in zip(series, dated, strict=True)}
    left_out = f"{len(shown)} of {len(lines)} results are drawn. The table has all."
    return FigureGroup(
        id=id_,
        title=f"{group.task}, protocol {group.protocol}",
        chips=(task_title(group.task), f"protocol {group.protocol}", *group.chips),
        legend=series,
        figures=[_dated(made, errors)],
        remarks=[left_out] if len(lines) > len(shown) else [],
    )


def _dated(made: Figure, errors: Mapping[str, Sequence[float | None]]) -> Figure:
    """The figure with dates in place of seconds, and bars of one standard error."""
    traces = [
        {
            **trace,
            "x": [datetime.fromtimestamp(x, UTC).strftime("%Y-%m-%d %H:%M:%S") for x in trace["x"]],
            "error_y": {"type": "data", "array": [error or 0 for error in errors[trace["meta"]["series"]]]},
        }
        for trace in made.spec["data"]
    ]
    layout = {**made.spec["layout"], "xaxis": {**made.spec["layout"]["xaxis"], "type": "date"}}
    return replace(made, spec={"data": traces, "layout": layout})


def _table(id_: str, points: Sequence[_Point]) -> Table:
    tasks = len({point.group.task for point in points}) > 1
    sources = any(point.row["source"] for point in points)
    columns = [
        Column(title="Method"),
        *([Column(title="Task")] if tasks else []),
        Column(title="Protocol"),
        Column(title="Date", why="When the last of these runs ended"),
        *([Column(title="Source", why="The bundle that the runs are from")] if sources else []),
        Column(title="Commit", why="The commit of the code"),
        Column(title="symbench"),
        Column(title="Versions", why="The versions of task and method"),
        Column(title="Score", why="Mean ± standard error over seeds", numeric=True),
        Column(title="Difference", why="From the point before; no test", numeric=True),
        Column(title="Seeds", numeric=True),
        Column(title="Failed", numeric=True),
    ]
    rows = [list(_cells(point, tasks, sources)) for point in points]
    return Table(id=id_, caption="Results by date", columns=columns, rows=rows)


def _cells(point: _Point, tasks: bool, sources: bool) -> Iterable[Cell]:
    row, group, mean = point.row, point.group, point.score.mean
    yield method_cell({**row, "source": None}, point.label)
    if tasks:
        yield Cell(text=group.task, sort=group.task, code=True, link=card_id("task", group.task))
    yield Cell(text=group.protocol, sort=group.protocol, note="; ".join(group.chips))
    when = row["finished"]
    yield missing("Not recorded") if when is None else Cell(text=moment(when), sort=when.isoformat())
    if sources:
        yield text(row["source"], why_missing="The only source")
    yield _commit(row)
    yield text(row["symbench_version"], why_missing="Not recorded: symbench was not installed as a package")
    yield Cell(text=f"{row['ran_task_version']}, {row['method_version']}")
    shown = f"{group.metric} {arrow(group.direction)}"
    yield (
        missing("Not ranked: see the leaderboard")
        if mean is None
        else Cell(text=estimate(mean, point.score.stderr), sort=mean, note=shown)
    )
    yield _difference(point)
    yield Cell(text=str(row["seeds"]), sort=row["seeds"])
    yield Cell(text=str(row["failed"]), sort=row["failed"], mark="failed" if row["failed"] else "")


def _commit(row: Row) -> Cell:
    commit: Any = row["git_commit"]
    if not commit:
        return missing("Not recorded: the code was in no git checkout")
    return Cell(text=commit[:10], sort=commit, why=commit, code=True, note="changed code" if row["git_dirty"] else "")


def _difference(point: _Point) -> Cell:
    now, before = point.score, point.before
    if before is None:
        return missing("The first time")
    if now.mean is None or before.mean is None:
        return missing("One of the two has no score")
    difference = now.mean - before.mean
    return Cell(text=f"{'+' if difference > 0 else ''}{plain(difference)}", sort=difference)
