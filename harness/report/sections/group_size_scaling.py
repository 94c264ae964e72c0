"""How metric, errors of sampling, samples needed, time and memory scale with the size of the group."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.collate import Tables
from harness.report.content.badges import Badges, badge_sentences, badges, marks_of
from harness.report.content.captions import BANDS, STDERR, caption
from harness.report.content.comparison_groups import Row, by_task, nondefault_params
from harness.report.content.curve_tables import needed_cell
from harness.report.content.curves import EXACT, Curve, above_rounding, inexact, needed_axis, needed_line
from harness.report.content.devices import DEVICE, device_text
from harness.report.content.exponents import exponent_table
from harness.report.content.methods import method_cell, method_series
from harness.report.content.published import PROTOCOL
from harness.report.content.settings import (
    Changes,
    changed_sentence,
    changed_settings,
    setting_label,
    shared_changes,
    shared_protocol,
)
from harness.report.content.titles import arrow, better, group_title, task_title
from harness.report.rendering.cells import Cell, Column, Table, number
from harness.report.rendering.figures import MAX_SERIES, Axis, Figure, FigureGroup, Line, Series, figure, needs_log_axis
from harness.report.rendering.formats import estimate, listed, memory, range_text, seconds, small

MEASURES = {
    "log_group_size": ("ln |G|", "The logarithm of the number of elements of the finite factors"),
    "group_dimension": ("dim G", "The dimension of the continuous factors"),
}
"""The measures of a group: the column of the table ``scaling``, its title and its meaning."""


@dataclass(frozen=True, kw_only=True)
class ProtocolSizes:
    """The results of one protocol and one family of groups.

    Attributes:
        protocol: The protocol, and the family if the task has several.
        figure_group: The figures.
        exponents: The table of exponents; None if nothing was measured at two sizes.
        table: All numbers by size.
        remarks: Sentences about figures and tables.
    """

    protocol: str
    figure_group: FigureGroup
    exponents: Table | None
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
    changes, marks = changed_settings(tables.runs), badges(tables)
    return [
        _task(f"sizes-{place}", task, rows, changes, marks)
        for place, (task, rows) in enumerate(by_task(tables.scaling).items(), start=1)
    ]


def _task(id_: str, task: str, rows: Sequence[Row], changes: Changes, marks: Badges) -> TaskSizes:
    grouped: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["protocol"], _family(row)].append(row)
    order = sorted(grouped, key=lambda key: (key[0] != PROTOCOL, key))
    several = len({name for _, name in order}) > 1
    parts = (
        _protocol(f"{id_}-{n}", task, key[0], (group_title(key[1]),) if several else (), grouped[key], changes, marks)
        for n, key in enumerate(order, start=1)
    )
    return TaskSizes(id=id_, name=task, title=task_title(task), protocols=tuple(parts))


def _family(row: Row) -> str:
    """The name of the group of a row. If the group is a parameter of the task, d stands for its size."""
    names = json.loads(row["task_params"]).get("group")
    return " x ".join(names).replace("#", "d") if names else str(row["group"])


def _protocol(
    id_: str, task: str, protocol: str, chips: tuple[str, ...], rows: Sequence[Row], changes: Changes, marks: Badges
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
    shown = shared_protocol(protocol, kept, changes)
    figures = _figure_group(f"{id_}-figures", task, protocol, chips, curves, labels, marks)
    return ProtocolSizes(
        protocol=" · ".join((shown, *chips)),
        figure_group=replace(figures, chips=(f"protocol {shown}", *figures.chips)),
        exponents=exponent_table(f"{id_}-exponents", chips, kept, labels, marks, _group_sizes(kept)[0]),
        table=_table(f"{id_}-table", chips, kept, labels, marks),
        remarks=(*([changed] if changed else []), *([left_out] if alone else []), *badge_sentences(kept, marks)),
    )


def _with_params(row: Row, known: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The changes of a setting, and the parameters of the task, without the size, that are not its defaults."""
    params = nondefault_params(row["task"], json.loads(row["task_params"]))
    own = {f"task_params.{name}": value for name, value in params.items() if name != row["size_name"]}
    return None if known is None else {**known, **own}


def _figure_group(
    id_: str,
    task: str,
    protocol: str,
    chips: tuple[str, ...],
    curves: Sequence[Curve],
    labels: Mapping[str, str],
    marks: Badges,
) -> FigureGroup:
    shown = curves[:MAX_SERIES]
    series = method_series((curve[0] for curve in shown), labels, marks_of(shown, marks))
    first = shown[0][0]
    measure, sizes = _group_sizes(row for curve in shown for row in curve)
    x = Axis(
        title=f"{first['size_name'] or 'size'} n" + (f", {measure} below it" if measure else ""),
        log=True,
        ticks=sorted(sizes),
        labels=_labels(sizes) if measure else [str(n) for n in sorted(sizes)],
    )
    pairs = [(of, _sizes(curve)) for of, curve in zip(series, shown, strict=True)]
    quality = [_line(of, curve, "score", "score_stderr") for of, curve in pairs]
    needed = [line for of, curve in pairs if (line := needed_line(of, curve, "size")).x]
    metric = Axis(
        title=f"{first['metric']} {arrow(first['direction'])}",
        log=needs_log_axis([value for line in quality for value in line.y]),
    )
    return FigureGroup(
        id=id_,
        title=f"{task}, protocol {protocol}",
        chips=(*chips, *sorted({curve[0]["variant"] for curve in shown if curve[0]["variant"]})),
        legend=series,
        figures=[
            figure(f"{first['metric']} against size ({better(first['direction'])})", quality, x, metric),
            *_errors(pairs, x),
            *([figure("Samples to within 1 % against size", needed, x, needed_axis(needed))] if needed else []),
            *_costs(list(zip(series, shown, strict=True)), x),
        ],
        remarks=tuple(_remarks(shown, len(curves))),
    )


def _errors(pairs: Sequence[tuple[Series, Curve]], x: Axis) -> Iterable[Figure]:
    """Figures of the variance of one sample, and of the equivariance error of one sample and as tested."""
    shown = [curve for _, curve in pairs]
    spread = [_line(of, above_rounding(curve, shown), "variance", "variance_stderr") for of, curve in pairs]
    log = needs_log_axis([value for line in spread for value in line.y])
    yield from _figure_if_any(
        "Variance of one sample against size", spread, x, Axis(title="variance at k = 1", log=log)
    )
    for at, column in (("of one sample", "equivariance"), (f"with {_tested(shown)}", "equivariance_tested")):
        errors = [_line(of, inexact(curve, column), column, f"{column}_stderr") for of, curve in pairs]
        log = needs_log_axis([value for line in errors for value in line.y])
        y = Axis(title="|f(gx) − gf(x)| / |f(x)|", log=log)  # noqa: RUF001 (a minus sign)
        yield from _figure_if_any(f"Equivariance error {at} against size", errors, x, y)


def _tested(curves: Iterable[Sequence[Row]]) -> str:
    """The number of group samples in the test: ``k = 20``, or in words if it is not the same for all rows."""
    counts = {row["test_samples"] for curve in curves for row in curve}
    return f"k = {counts.pop()}" if len(counts) == 1 and None not in counts else "the k of the test"


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
    for column, (measure, _) in MEASURES.items():
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


def _remarks(shown: Sequence[Curve], curves: int) -> Iterable[str]:
    rows = [row for curve in shown for row in curve]
    yield f"Sizes: {rows[0]['size_name'] or 'n'} {range_text([row['size'] for row in rows])}; {caption(rows, BANDS)}"
    if any(math.isinf(row["samples_needed"] or 0.0) for row in rows):
        yield "An arrow stands at the largest k that was measured where that is not enough to be within 1 %."
    if unknown := _methods(curve for curve in shown if any(row["samples_needed"] is None for row in curve)):
        yield f"No number of samples where chance over repeats hides it, or no curve was measured: {unknown}."
    if curves > len(shown):
        yield f"{len(shown)} of {curves} curves are drawn, those with most sizes. The table has all."
    if still := _methods(curve for curve in shown if not above_rounding(curve, shown)):
        yield f"No variance is drawn where it is zero or a rounding error at every size: {still}."
    measured = [curve for curve in shown if any(row["equivariance"] is not None for row in curve)]
    if exact := _methods(curve for curve in measured if not inexact(curve)):
        yield f"Equivariant up to rounding at every size, with an error of at most {EXACT:g} (not drawn): {exact}."
    if partly := _methods(curve for curve in measured if 0 < len(inexact(curve)) < len(curve)):
        yield f"Equivariant up to rounding at some sizes, where they have no point: {partly}."


def _methods(curves: Iterable[Curve]) -> str:
    return listed(sorted({curve[0]["method"] for curve in curves}), 12)


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


def _line(series: Series, curve: Curve, value: str, error: str | None, scale: float = 1.0) -> Line:
    return Line(
        series=series,
        x=[row["size"] for row in curve],
        y=[None if row[value] is None else row[value] * scale for row in curve],
        stderr=[None if error is None or row[error] is None else row[error] * scale for row in curve],
    )


def _table(id_: str, chips: tuple[str, ...], rows: Sequence[Row], labels: Mapping[str, str], marks: Badges) -> Table:
    several_devices = len({device_text(row, DEVICE) for row in rows}) > 1
    return Table(
        id=id_,
        caption=": ".join(("Metric, errors, samples, time and memory by size", *chips)),
        columns=_columns(rows, several_devices),
        rows=[_cells(row, rows, method_cell(row, labels[row["setting"]], marks), several_devices) for row in rows],
        basis=caption(rows, STDERR),
    )


def _columns(rows: Sequence[Row], several_devices: bool) -> list[Column]:
    row = rows[0]
    return [
        Column(title="Method"),
        Column(title=row["size_name"] or "size", why="The size n of the structure", numeric=True),
        *(
            Column(title=title, why=why, numeric=True)
            for column, (title, why) in MEASURES.items()
            if _grows(rows, column)
        ),
        Column(
            title=f"{row['metric']} {arrow(row['direction'])}",
            why="The score by which rows are ranked: mean ± standard error over seeds",
            numeric=True,
        ),
        Column(title="Variance", why="The variance of a prediction from one group sample (k = 1)", numeric=True),
        *(
            Column(title=title, why=f"The equivariance error |f(gx) − gf(x)| / |f(x)| {why}", numeric=True)  # noqa: RUF001 (a minus sign)
            for column, title, why in _error_columns(rows)
        ),
        Column(
            title="Samples to within 1 %",
            why="The smallest k from which on the metric stays within 1 % of its limit, with its interval over seeds",
            numeric=True,
        ),
        *([Column(title="Device", why="The device on which time and memory were measured")] if several_devices else []),
        Column(title="Time / example", why="One prediction with all its group samples", numeric=True),
        Column(title="Memory", why="The peak memory of tensors during one evaluation batch", numeric=True),
        Column(title="Seeds", why="The number of runs that gave a value", numeric=True),
    ]


def _error_columns(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """The equivariance errors that were measured: the column of the table ``scaling``, its title, and at which k."""
    tested = _tested([rows])
    known = [("equivariance", "Error, k = 1", "of one group sample")]
    known += [("equivariance_tested", f"Error, {tested}", f"with {tested}")]
    return [one for one in known if _known(rows, one[0])]


def _grows(rows: Iterable[Row], column: str) -> bool:
    return len({row[column] for row in rows}) > 1


def _known(rows: Iterable[Row], column: str) -> bool:
    return any(row[column] is not None for row in rows)


def _cells(row: Row, rows: Sequence[Row], method: Cell, several_devices: bool) -> list[Cell]:
    log_size, dimension = row["log_group_size"], row["group_dimension"]
    measures = {
        "log_group_size": number(log_size, f"{log_size or 0:.1f}", why_missing="The group has no finite factor"),
        "group_dimension": number(dimension, str(dimension), why_missing="The group has no continuous factor"),
    }
    return [
        method,
        Cell(text=str(row["size"]), sort=row["size"]),
        *(cell for column, cell in measures.items() if _grows(rows, column)),
        number(row["score"], estimate(row["score"], row["score_stderr"]), why_missing="No score: see the leaderboard"),
        number(row["variance"], small(row["variance"] or 0.0), why_missing="Not measured at k = 1"),
        *(
            number(row[column], small(row[column] or 0.0), why_missing=f"Not measured {why}")
            for column, _, why in _error_columns(rows)
        ),
        needed_cell(row, flat=row["variance"] == 0),
        *([Cell(text=device_text(row, DEVICE), sort=row["device"])] if several_devices else []),
        number(row["seconds_per_example"], seconds(row["seconds_per_example"]), why_missing="Not measured"),
        number(row["peak_memory_bytes"], memory(row["peak_memory_bytes"]), why_missing="Not measured"),
        Cell(text=str(row["seeds"]), sort=row["seeds"]),
    ]
