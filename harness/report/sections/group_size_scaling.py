"""How metric, variance, samples needed, time and memory scale with the size of the group."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.collate import Tables
from harness.report.content.comparison_groups import Row, by_task, nondefault_params
from harness.report.content.curve_tables import interval_cell, needed_cell
from harness.report.content.curves import Curve, above_rounding
from harness.report.content.devices import DEVICE, device_text
from harness.report.content.methods import method_cell, method_series
from harness.report.content.published import PROTOCOL
from harness.report.content.settings import Changes, changed_sentence, changed_settings, setting_label, shared_changes
from harness.report.content.titles import arrow, better, group_title, task_title
from harness.report.rendering.cells import Cell, Column, Table, number
from harness.report.rendering.figures import MAX_SERIES, Axis, Figure, FigureGroup, Line, Series, figure, needs_log_axis
from harness.report.rendering.formats import estimate, listed, memory, seconds, small


@dataclass(frozen=True, kw_only=True)
class ProtocolSizes:
    """The results of one protocol and one family of groups; ``remarks`` are about figures and table."""

    protocol: str
    figure_group: FigureGroup
    table: Table
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaskSizes:
    """The results of one task."""

    id: str
    name: str
    title: str
    protocols: tuple[ProtocolSizes, ...]


def group_size_scaling(tables: Tables) -> list[TaskSizes]:
    """One entry for each task with a method that ran on at least two sizes."""
    changes = changed_settings(tables.runs)
    return [
        _task(f"sizes-{place}", task, rows, changes)
        for place, (task, rows) in enumerate(by_task(tables.scaling).items(), start=1)
    ]


def _task(id_: str, task: str, rows: Sequence[Row], changes: Changes) -> TaskSizes:
    grouped: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["protocol"], _family(row)].append(row)
    order = sorted(grouped, key=lambda key: (key[0] != PROTOCOL, key))
    several = len({name for _, name in order}) > 1
    parts = (
        _protocol(f"{id_}-{n}", task, key[0], (group_title(key[1]),) if several else (), grouped[key], changes)
        for n, key in enumerate(order, start=1)
    )
    return TaskSizes(id=id_, name=task, title=task_title(task), protocols=tuple(parts))


def _family(row: Row) -> str:
    """The name of the group of a row. If the group is a parameter of the task, d stands for its size."""
    names = json.loads(row["task_params"]).get("group")
    return " x ".join(names).replace("#", "d") if names else str(row["group"])


def _protocol(
    id_: str, task: str, protocol: str, chips: tuple[str, ...], rows: Sequence[Row], changes: Changes
) -> ProtocolSizes:
    every = _curves(rows)
    curves = [curve for curve in every if len(_sizes(curve)) > 1] or every
    kept = [row for curve in curves for row in curve]
    known = {row["setting"]: _with_params(row, changes[row["setting"]]) for row in kept}
    common = shared_changes(kept, known)
    labels = {row["setting"]: setting_label(row, known, common) for row in kept}
    changed = changed_sentence(protocol, common)
    alone = sorted({curve[0]["method"] for curve in every if curve not in curves})
    left_out = f"Left out, since their settings ran on one size only: {listed(alone, 12)}. See the leaderboard."
    return ProtocolSizes(
        protocol=" · ".join((protocol, *chips)),
        figure_group=_figure_group(f"{id_}-figures", task, protocol, chips, curves, labels),
        table=_table(f"{id_}-table", chips, kept, labels),
        remarks=(*([changed] if changed else []), *([left_out] if alone else [])),
    )


def _with_params(row: Row, known: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The changes of a setting, and the parameters of the task, without the size, that are not its defaults."""
    params = nondefault_params(row["task"], json.loads(row["task_params"]))
    own = {f"task_params.{name}": value for name, value in params.items() if name != row["size_name"]}
    return None if known is None else {**known, **own}


def _figure_group(
    id_: str, task: str, protocol: str, chips: tuple[str, ...], curves: Sequence[Curve], labels: Mapping[str, str]
) -> FigureGroup:
    shown = curves[:MAX_SERIES]
    series = method_series((curve[0] for curve in shown), labels)
    first = shown[0][0]
    measure, sizes = _group_sizes(row for curve in shown for row in curve)
    x = Axis(
        title=f"{first['size_name'] or 'size'} n" + (f", {measure} below it" if measure else ""),
        log=True,
        ticks=sorted(sizes),
        labels=_labels(sizes) if measure else [str(n) for n in sorted(sizes)],
    )
    pairs = [(of, _sizes(curve)) for of, curve in zip(series, shown, strict=True)]
    quality = [_line(of, curve, "mean", "stderr") for of, curve in pairs]
    spread = [_line(of, above_rounding(curve, shown), "variance", "variance_stderr") for of, curve in pairs]
    variance = Axis(title="variance at k = 1", log=needs_log_axis([value for line in spread for value in line.y]))
    needed = [_line(of, _reached(curve), "samples_needed", None) for of, curve in pairs]
    enough = sorted({k for line in needed for k in line.y if k is not None})
    metric = Axis(
        title=f"{first['metric']} {arrow(first['direction'])}",
        log=needs_log_axis([value for line in quality for value in line.y]),
    )
    protocol_chip = f"protocol {protocol}"
    return FigureGroup(
        id=id_,
        title=f"{task}, {protocol_chip}",
        chips=(protocol_chip, *chips, *sorted({curve[0]["variant"] for curve in shown if curve[0]["variant"]})),
        legend=series,
        figures=[
            figure(f"{first['metric']} against size ({better(first['direction'])})", quality, x, metric),
            *_figure_if_any("Variance of one sample against size", spread, x, variance),
            *_figure_if_any(
                "Samples to within 1 % against size", needed, x, Axis(title="k at evaluation", log=True, ticks=enough)
            ),
            *_costs(list(zip(series, shown, strict=True)), x),
        ],
        remarks=tuple(_remarks(len(shown), len(curves))),
    )


def _costs(pairs: Sequence[tuple[Series, Curve]], x: Axis) -> Iterable[Figure]:
    """Figures of time and memory for each device."""
    devices = sorted({device_text(row, DEVICE) for _, curve in pairs for row in curve})
    for title, column, scale, axis in (
        ("Time per example", "seconds_per_example", 1e3, "milliseconds per example"),
        ("Memory", "peak_memory_bytes", 2.0**-20, "MiB at evaluation"),
    ):
        for device in devices:
            of_device = [(of, [row for row in curve if device_text(row, DEVICE) == device]) for of, curve in pairs]
            lines = [_line(of, curve, column, f"{column}_stderr", scale) for of, curve in of_device if curve]
            among = f", {device}" if len(devices) > 1 else ""
            yield figure(f"{title} against size{among}", lines, x, Axis(title=axis, log=True))


def _sizes(curve: Curve) -> Curve:
    """One row for each size, for quantities that do not depend on the device."""
    return list({row["setting"]: row for row in curve}.values())


def _group_sizes(rows: Iterable[Row]) -> tuple[str | None, Mapping[int, float]]:
    """The measure of the group that grows with the size, and its value at each size.

    It is ln |G| for finite groups and the dimension for Lie groups, or None if neither is known at every size.
    """
    rows = list(rows)
    for measure, column in (("ln |G|", "log_group_size"), ("dim G", "group_dimension")):
        sizes = {row["size"]: row[column] for row in rows}
        if None not in sizes.values() and len({*sizes.values()}) == len(sizes):
            return measure, sizes
    return None, dict.fromkeys((row["size"] for row in rows), 0.0)


def _labels(sizes: Mapping[int, float]) -> list[str]:
    """The labels of the sizes, with the measure of the group below those that have enough space."""
    labels, last = [], 0
    for n in sorted(sizes):
        has_space = n >= 1.4 * last
        labels.append(f"{n}<br>{sizes[n]:.1f}" if has_space else str(n))
        last = n if has_space else last
    return labels


def _remarks(shown: int, curves: int) -> Iterable[str]:
    yield "Bands are one standard error over seeds; with one seed there is no band."
    yield "There is no point if a variance is zero or a rounding error, or if no measured k was enough."
    if curves > shown:
        yield f"{shown} of {curves} curves are drawn, those with most sizes. The table has all."


def _curves(rows: Iterable[Row]) -> list[Curve]:
    grouped: defaultdict[tuple[str, str], Curve] = defaultdict(list)
    for row in rows:
        grouped[row["method"], row["series"]].append(row)
    curves = [sorted(curve, key=lambda row: row["size"]) for curve in grouped.values()]
    return sorted(curves, key=lambda curve: (-len(_sizes(curve)), curve[0]["method"], curve[0]["series"]))


def _figure_if_any(title: str, lines: Sequence[Line], x: Axis, y: Axis) -> list[Figure]:
    """The figure, or nothing if there is no point."""
    known = [line for line in lines if line.x]
    return [figure(title, known, x, y)] if known else []


def _reached(curve: Curve) -> Curve:
    """The points at which the number of samples needed is known and finite."""
    return [row for row in curve if row["samples_needed"] is not None and math.isfinite(row["samples_needed"])]


def _line(series: Series, curve: Curve, value: str, error: str | None, scale: float = 1.0) -> Line:
    return Line(
        series=series,
        x=[row["size"] for row in curve],
        y=[None if row[value] is None else row[value] * scale for row in curve],
        stderr=[None if error is None or row[error] is None else row[error] * scale for row in curve],
    )


def _table(id_: str, chips: tuple[str, ...], rows: Sequence[Row], labels: Mapping[str, str]) -> Table:
    several_devices = len({device_text(row, DEVICE) for row in rows}) > 1
    return Table(
        id=id_,
        caption=": ".join(("Metric, samples, time and memory by size", *chips)),
        columns=_columns(rows[0], several_devices),
        rows=[_cells(row, labels[row["setting"]], several_devices) for row in rows],
    )


def _columns(row: Row, several_devices: bool) -> list[Column]:
    return [
        Column(title="Method"),
        Column(title=row["size_name"] or "size", why="The size n of the structure", numeric=True),
        Column(title="ln |G|", why="The logarithm of the number of elements of the finite factors", numeric=True),
        Column(title="dim G", why="The dimension of the continuous factors", numeric=True),
        Column(
            title=f"{row['metric']} {arrow(row['direction'])}", why="Mean ± standard error over seeds", numeric=True
        ),
        Column(title="Variance", why="The variance of a prediction from one group sample (k = 1)", numeric=True),
        Column(
            title="Samples to within 1 %",
            why="The smallest k from which on the metric stays within 1 % of its limit, with its interval over seeds",
            numeric=True,
        ),
        *([Column(title="Device", why="The device on which time and memory were measured")] if several_devices else []),
        Column(title="Time / example", why="One prediction with all its group samples", numeric=True),
        Column(title="Memory", why="The peak memory of tensors during one evaluation batch", numeric=True),
        Column(title="Time exponent", why=_exponent_why(row, "Time"), numeric=True),
        Column(title="Memory exponent", why=_exponent_why(row, "Memory"), numeric=True),
        Column(title="Seeds", why="The number of runs that gave a value", numeric=True),
    ]


def _cells(row: Row, label: str, several_devices: bool) -> list[Cell]:
    log_size, dimension = row["log_group_size"], row["group_dimension"]
    return [
        method_cell(row, label),
        Cell(text=str(row["size"]), sort=row["size"]),
        number(log_size, f"{log_size or 0:.1f}", why_missing="The group has no finite factor"),
        number(dimension, str(dimension), why_missing="The group has no continuous factor"),
        number(row["mean"], estimate(row["mean"], row["stderr"]), why_missing="No run gave a finite value"),
        number(row["variance"], small(row["variance"] or 0.0), why_missing="Not measured at k = 1"),
        needed_cell(row, flat=row["variance"] == 0),
        *([Cell(text=device_text(row, DEVICE), sort=row["device"])] if several_devices else []),
        number(row["seconds_per_example"], seconds(row["seconds_per_example"]), why_missing="Not measured"),
        number(row["peak_memory_bytes"], memory(row["peak_memory_bytes"]), why_missing="Not measured"),
        _exponent(row, "seconds"),
        _exponent(row, "memory"),
        Cell(text=str(row["seeds"]), sort=row["seeds"]),
    ]


def _exponent_why(row: Row, what: str) -> str:
    law = f"{row['size_name'] or 'size'}^a"
    growth = f"{what.lower()} grows as {law} over the sizes that ran on its device"
    return f"The exponent a if {growth}, with its 95 % t-interval"


def _exponent(row: Row, cost: str) -> Cell:
    """The exponent in the size; on hover the exponent in the measure of the group."""
    cell = interval_cell(row, f"{cost}_exponent", "Measured at one size only")
    by_group = row[f"{cost}_group_exponent"]
    return cell if by_group is None else replace(cell, why=f"{by_group:.2f} in ln |G|, or in dim G for Lie groups")
