"""What quality costs: parameters, operations, time and memory of every row of the leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from harness.collate import Tables
from harness.collate.statistics import SETTING_KEYS
from harness.report.content import control_metrics
from harness.report.content.comparison_groups import Contest, Row, contests
from harness.report.content.devices import where
from harness.report.content.pareto import MEASURES, Point, fronts, pareto
from harness.report.content.settings import Changes, changed_settings, note, shared
from harness.report.content.titles import arrow, task_title
from harness.report.rendering.cells import Cell, Column, Table, number, text
from harness.report.rendering.figures import FigureGroup
from harness.report.rendering.formats import estimate, listed, operations
from harness.report.sections.leaderboard import by_task, method_cell
from harness.report.sections.sample_complexity import series_of

ON_FRONT = "On the Pareto front: no other method is at least as cheap and as good, and better in one"
BEFORE_COUNTED = "Not recorded: these runs are older than the count"


@dataclass(frozen=True, kw_only=True)
class ContestCosts:
    """One contest: the figure where it is its protocol's main one, the table always."""

    protocol: str
    chips: tuple[str, ...]
    group: FigureGroup | None
    table: Table
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaskCosts:
    id: str
    title: str
    contests: tuple[ContestCosts, ...]


def costs(tables: Tables) -> list[TaskCosts]:
    """One entry per task; a method that ran on several devices has a row for each."""
    changes = changed_settings(tables.runs)
    return [
        TaskCosts(
            id=f"cost-{place}",
            title=task_title(task),
            contests=tuple(
                _contest(f"cost-{place}-{n}", contest, changes) for n, contest in enumerate(contests(rows), start=1)
            ),
        )
        for place, (task, rows) in enumerate(by_task(_rows(tables)).items(), start=1)
    ]


def _rows(tables: Tables) -> pl.DataFrame:
    """Scores beside what they took: one row for each device, or one without costs where no run succeeded."""
    return tables.accuracy.join(
        tables.costs, on=SETTING_KEYS, how="left", nulls_equal=True, maintain_order="left_right"
    )


def _contest(id_: str, contest: Contest, changes: Changes) -> ContestCosts:
    common = shared(contest.rows, changes)
    rows = control_metrics.order(contest, contest.rows)
    labels = {row["setting"]: note(row, changes, common) for row in rows}
    settings = {row["setting"]: row for row in rows}
    series = dict(zip(settings, series_of(settings.values(), labels), strict=True))
    points = [Point(series=series[row["setting"]], row=row, score=control_metrics.score(row, contest)) for row in rows]
    return ContestCosts(
        protocol=contest.protocol,
        chips=contest.chips,
        group=pareto(f"{id_}-figures", contest, points) if contest.is_main else None,
        table=_table(f"{id_}-table", contest, points, labels),
        remarks=tuple(_remarks(rows, _devices(rows))),
    )


def _devices(rows: Iterable[Row]) -> list[str]:
    return sorted({where(row) for row in rows if row["cost_seeds"]})


def _remarks(rows: Sequence[Row], devices: Sequence[str]) -> Iterable[str]:
    if len(devices) > 1:
        yield (
            "Time, memory and throughput are those of a row's device, over the seeds that ran there; a front holds for "
            "one device. Metric, parameters and FLOPs are over all seeds."
        )
    ended = [row for row in rows if row["seeds"] + row["undefined"]]
    uncounted = [row["method"] for row in ended if row["flops_per_example"] is None]
    if uncounted:
        which = "all rows" if len(uncounted) == len(ended) else listed(sorted({*uncounted}), 12)
        yield f"No count of operations, which older records do not hold: {which}."


def _table(id_: str, contest: Contest, points: Sequence[Point], labels: Mapping[str, str]) -> Table:
    several = len(_devices(point.row for point in points)) > 1
    columns = [
        Column(title="Method"),
        *([Column(title="Device", why="What the costs of a row were measured on")] if several else []),
        Column(
            title=f"{contest.metric} {arrow(contest.direction)}",
            why="What rows are ranked by: mean ± standard error over seeds",
            numeric=True,
        ),
        Column(title="Parameters", why="Trained numbers of base model and sampler", numeric=True),
        Column(
            title="FLOPs / example",
            why="Floating-point operations of one prediction with all its group samples: those of matrix products, "
            "convolutions and attention, a product and a sum each",
            numeric=True,
        ),
        Column(title="Time / example", why="One prediction with all its group samples, mean over seeds", numeric=True),
        Column(title="Memory", why="Most tensor memory alive during one evaluation batch", numeric=True),
        Column(title="Training", why="Training time of one run, mean over seeds", numeric=True),
        Column(title="Throughput", why="Examples per second in training, mean over seeds", numeric=True),
    ]
    rows = [
        _cells(point, labels[point.row["setting"]], on, several)
        for point, on in zip(points, fronts(points, contest), strict=True)
    ]
    return Table(id=id_, caption="Cost of each method", columns=columns, rows=rows)


def _cells(point: Point, label: str, on: Sequence[str], several: bool) -> list[Cell]:
    row, mean = point.row, point.score.mean
    ended = row["seeds"] + row["undefined"]
    why = "Not measured" if ended else "Not measured: no run succeeded"
    rate = row["train_examples_per_second"]

    def cost(column: str, why_missing: str = why) -> Cell:
        measure = next(measure for measure in MEASURES if measure.column == column)
        found = number(row[column] or None, measure.shown(row[column]), why_missing=why_missing)
        return replace(found, mark="best", why=ON_FRONT) if column in on else found

    return [
        method_cell(row, label),
        *([text(where(row) if row["cost_seeds"] else None, why_missing=why)] if several else []),
        number(mean, estimate(mean, point.score.stderr), why_missing="Not ranked: see the leaderboard"),
        cost("parameters"),
        cost("flops_per_example", BEFORE_COUNTED if ended else why),
        cost("seconds_per_example"),
        cost("peak_memory_bytes"),
        cost("train_seconds", "Nothing was trained" if ended else why),
        number(rate, f"{operations(rate)}/s", why_missing=why),
    ]
