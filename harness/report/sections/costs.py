"""The cost of every row of the leaderboard: parameters, operations, time and memory; and scores at equal compute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from harness.collate import Tables
from harness.collate.statistics import SETTING_KEYS
from harness.report.content import control_metrics
from harness.report.content.badges import Badges, badge_sentences, badges
from harness.report.content.captions import STDERR, caption
from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.curves import Curve
from harness.report.content.devices import device_text
from harness.report.content.equal_compute import EqualCompute, equal_compute
from harness.report.content.methods import method_cell, method_series
from harness.report.content.pareto import MEASURES, Point, front_columns, pareto_figures
from harness.report.content.settings import (
    Changes,
    changed_settings,
    setting_label,
    shared_changes,
    shared_protocol,
)
from harness.report.content.titles import arrow, task_title
from harness.report.rendering.cells import Cell, Column, Table, number, text
from harness.report.rendering.figures import FigureGroup
from harness.report.rendering.formats import estimate, listed, operations

ON_FRONT = "On the Pareto front: no other method is at least as cheap and as good, and better in one of the two"
BEFORE_COUNTED = "Not recorded: operations were not counted when these runs were made"


@dataclass(frozen=True, kw_only=True)
class ComparisonGroupCosts:
    """The costs of one comparison group.

    Attributes:
        protocol: The protocol of the group.
        chips: What distinguishes the group from the others of its task.
        figure_group: The figures; None unless the group is the main one of its protocol.
        table: The costs.
        remarks: Sentences about figures and table.
        equal_compute: The scores at equal compute; None unless two methods can be compared.
    """

    protocol: str
    chips: tuple[str, ...]
    figure_group: FigureGroup | None
    table: Table
    remarks: tuple[str, ...]
    equal_compute: EqualCompute | None


@dataclass(frozen=True, kw_only=True)
class TaskCosts:
    """The costs of one task."""

    id: str
    name: str
    title: str
    comparison_groups: tuple[ComparisonGroupCosts, ...]


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """What the runs of the settings in a table contribute to it."""

    changes: Changes
    badges: Badges
    curves: Mapping[tuple[str, str | None], Curve]


def costs(tables: Tables) -> list[TaskCosts]:
    """One entry for each task. A method that ran on several devices has a row for each of them."""
    runs = _Runs(changes=changed_settings(tables.runs), badges=badges(tables), curves=_curves(tables.sample_complexity))
    found = []
    for number_, (task, rows) in enumerate(by_task(_rows(tables)).items(), start=1):
        id_ = f"cost-{number_}"
        groups = tuple(
            _comparison_group(f"{id_}-{n}", one, runs) for n, one in enumerate(comparison_groups(rows), start=1)
        )
        found.append(TaskCosts(id=id_, name=task, title=task_title(task), comparison_groups=groups))
    return found


def _curves(sample_complexity: pl.DataFrame) -> Mapping[tuple[str, str | None], Curve]:
    found: defaultdict[tuple[str, str | None], Curve] = defaultdict(list)
    for row in sample_complexity.iter_rows(named=True):
        found[row["setting"], row["source"]].append(row)
    return found


def _rows(tables: Tables) -> pl.DataFrame:
    """Scores and costs: one row for each device, or one without costs if no run succeeded."""
    return tables.accuracy.join(
        tables.costs, on=SETTING_KEYS, how="left", nulls_equal=True, maintain_order="left_right"
    )


def _comparison_group(id_: str, comparison_group: ComparisonGroup, runs: _Runs) -> ComparisonGroupCosts:
    common = shared_changes(comparison_group.rows, runs.changes)
    rows = control_metrics.best_first(comparison_group.rows, comparison_group)
    labels = {row["setting"]: setting_label(row, runs.changes, common) for row in rows}
    settings = {row["setting"]: row for row in rows}
    series = dict(zip(settings, method_series(settings.values(), labels, runs.badges), strict=True))
    points = [Point(series=series[row["setting"]], row=row, score=control_metrics.score(row)) for row in rows]
    protocol = shared_protocol(comparison_group.protocol, rows, runs.changes)
    return ComparisonGroupCosts(
        protocol=protocol,
        chips=comparison_group.chips,
        figure_group=(
            pareto_figures(f"{id_}-figures", comparison_group, points, protocol) if comparison_group.is_main else None
        ),
        table=_table(f"{id_}-table", comparison_group, points, labels, runs.badges),
        remarks=(*badge_sentences(rows, runs.badges), *_remarks(rows, _devices(rows))),
        equal_compute=equal_compute(f"{id_}-compute", comparison_group, points, runs.curves, labels, runs.badges),
    )


def _devices(rows: Iterable[Row]) -> list[str]:
    return sorted({device_text(row) for row in rows if row["cost_seeds"]})


def _remarks(rows: Sequence[Row], devices: Sequence[str]) -> Iterable[str]:
    if len(devices) > 1:
        yield (
            "Time, memory and throughput are those of the device of the row, over the seeds that ran on it, and each "
            "Pareto front is for one device. Metric, parameters and FLOPs are over all seeds."
        )
    ended = [row for row in rows if row["seeds"] + row["undefined"]]
    uncounted = [row["method"] for row in ended if row["flops_per_example"] is None]
    if uncounted:
        which = "all rows" if len(uncounted) == len(ended) else listed(sorted({*uncounted}), 12)
        yield f"Operations were not counted when these records were made: {which}."


def _table(
    id_: str, comparison_group: ComparisonGroup, points: Sequence[Point], labels: Mapping[str, str], badges: Badges
) -> Table:
    several_devices = len(_devices(point.row for point in points)) > 1
    columns = [
        Column(title="Method"),
        *([Column(title="Device", why="The device on which the costs were measured")] if several_devices else []),
        Column(
            title=f"{comparison_group.metric} {arrow(comparison_group.direction)}",
            why="The score by which rows are ranked: mean ± standard error over seeds",
            numeric=True,
        ),
        Column(title="Parameters", why="The number of trained parameters of base model and sampler", numeric=True),
        Column(
            title="FLOPs / example",
            why="Floating-point operations of one prediction with all its group samples, in matrix products, "
            "convolutions and attention. A multiplication and an addition count as two",
            numeric=True,
        ),
        Column(title="Time / example", why="One prediction with all its group samples, mean over seeds", numeric=True),
        Column(title="Memory", why="The peak memory of tensors during one evaluation batch", numeric=True),
        Column(title="Training", why="The training time of one run, mean over seeds", numeric=True),
        Column(title="Throughput", why="Examples per second in training, mean over seeds", numeric=True),
    ]
    rows = [
        _cells(point, method_cell(point.row, labels[point.row["setting"]], badges), on_front, several_devices)
        for point, on_front in zip(points, front_columns(points, comparison_group), strict=True)
    ]
    basis = caption((point.row for point in points), STDERR)
    return Table(id=id_, caption="Cost of each method", columns=columns, rows=rows, basis=basis)


def _cells(point: Point, method: Cell, on_front: Sequence[str], several_devices: bool) -> list[Cell]:
    row, mean = point.row, point.score.mean
    ended = row["seeds"] + row["undefined"]
    why = "Not measured" if ended else "Not measured: no run succeeded"
    rate = row["train_examples_per_second"]

    def cost(column: str, why_missing: str = why) -> Cell:
        measure = next(measure for measure in MEASURES if measure.column == column)
        found = number(row[column] or None, measure.shown(row[column]), why_missing=why_missing)
        return replace(found, mark="best", why=ON_FRONT) if column in on_front else found

    return [
        method,
        *([text(device_text(row) if row["cost_seeds"] else None, why_missing=why)] if several_devices else []),
        number(mean, estimate(mean, point.score.stderr), why_missing="Not ranked: see the leaderboard"),
        cost("parameters"),
        cost("flops_per_example", BEFORE_COUNTED if ended else why),
        cost("seconds_per_example"),
        cost("peak_memory_bytes"),
        cost("train_seconds", "Nothing was trained" if ended else why),
        number(rate, f"{operations(rate)}/s", why_missing=why),
    ]
