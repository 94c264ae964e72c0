"""What quality costs: parameters, operations, time and memory of every row of the leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.collate import Tables
from harness.report import controls
from harness.report.cells import Cell, Column, Table, number
from harness.report.contests import Contest, Row, contests
from harness.report.curves import series_of
from harness.report.figures import FigureGroup
from harness.report.formats import estimate, listed, operations
from harness.report.leaderboard import by_task, method_cell
from harness.report.pareto import MEASURES, Point, fronts, pareto
from harness.report.settings import Changes, changed_settings, note, shared
from harness.report.titles import arrow, task_title

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
    """One entry per task."""
    changes = changed_settings(tables.runs)
    return [
        TaskCosts(
            id=f"cost-{place}",
            title=task_title(task),
            contests=tuple(
                _contest(f"cost-{place}-{n}", contest, changes) for n, contest in enumerate(contests(rows), start=1)
            ),
        )
        for place, (task, rows) in enumerate(by_task(tables.accuracy).items(), start=1)
    ]


def _contest(id_: str, contest: Contest, changes: Changes) -> ContestCosts:
    common = shared(contest.rows, changes)
    rows = controls.order(contest, contest.rows)
    labels = {row["setting"]: note(row, changes, common) for row in rows}
    points = [
        Point(series=series, row=row, score=controls.score(row, contest))
        for series, row in zip(series_of(rows, labels), rows, strict=True)
    ]
    return ContestCosts(
        protocol=contest.protocol,
        chips=contest.chips,
        group=pareto(f"{id_}-figures", contest, points) if contest.is_main else None,
        table=_table(f"{id_}-table", contest, points, labels),
        remarks=tuple(_remarks(rows)),
    )


def _remarks(rows: Sequence[Row]) -> Iterable[str]:
    ended = [row for row in rows if row["seeds"] + row["undefined"]]
    uncounted = [row["method"] for row in ended if row["flops_per_example"] is None]
    if uncounted:
        which = "all rows" if len(uncounted) == len(ended) else listed(sorted({*uncounted}), 12)
        yield f"No count of operations, which older records do not hold: {which}."


def _table(id_: str, contest: Contest, points: Sequence[Point], labels: Mapping[str, str]) -> Table:
    on = fronts(points, contest)
    columns = [
        Column(title="Method"),
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
    rows = [_cells(point, labels[point.row["setting"]], on[point.series.id]) for point in points]
    return Table(id=id_, caption="Cost of each method", columns=columns, rows=rows)


def _cells(point: Point, label: str, on: Sequence[str]) -> list[Cell]:
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
        number(mean, estimate(mean, point.score.stderr), why_missing="Not ranked: see the leaderboard"),
        cost("parameters"),
        cost("flops_per_example", BEFORE_COUNTED if ended else why),
        cost("seconds_per_example"),
        cost("peak_memory_bytes"),
        cost("train_seconds", "Nothing was trained" if ended else why),
        number(rate, f"{operations(rate)}/s", why_missing=why),
    ]
