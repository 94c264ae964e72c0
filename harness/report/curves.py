"""Quality and estimator variance against the number of group samples k."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from harness import registry
from harness.collate import Tables
from harness.report.cells import Cell, Column, Table, missing
from harness.report.contests import Contest, Row, contests
from harness.report.controls import drop
from harness.report.figures import MOST_SERIES, Axis, Figure, FigureGroup, Line, Series, figure, suits_log
from harness.report.formats import counted, estimate, listed, small
from harness.report.leaderboard import by_task, method_cell
from harness.report.looks import look
from harness.report.notes import Notes, run_notes, told
from harness.report.settings import Changes, changed_sentence, changed_settings, note, shared
from harness.report.titles import arrow, better, task_title

Curve = list[Row]
"""Points of one setting, by rising k."""


ROUNDING = 1e-9
"""A variance this far below the largest of a figure is of rounding errors, not of group samples."""


@dataclass(frozen=True, kw_only=True)
class ContestCurves:
    """One contest: figures where it is its protocol's main one, tables always. ``remarks`` hold for both."""

    protocol: str
    chips: tuple[str, ...]
    group: FigureGroup | None
    tables: tuple[Table, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaskCurves:
    id: str
    title: str
    contests: tuple[ContestCurves, ...]


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What other tables say of settings. ``examples`` of the test set, at most, are behind a curve; the scores of
    ``dropping`` settings drop on moved inputs."""

    changes: Changes
    notes: Notes
    examples: Mapping[str, int]
    dropping: Set[str]


def sample_curves(tables: Tables) -> list[TaskCurves]:
    """One entry per task that has curves."""
    known = _known(tables)
    return [
        TaskCurves(
            id=f"samples-{place}",
            title=task_title(task),
            contests=tuple(
                _contest(f"samples-{place}-{n}", contest, known) for n, contest in enumerate(contests(rows), start=1)
            ),
        )
        for place, (task, rows) in enumerate(by_task(tables.sample_complexity).items(), start=1)
    ]


def series_of(rows: Iterable[Row], labels: Mapping[str, str]) -> list[Series]:
    """One per row; where a method has several, each has the label of its setting, and those after the first are
    hollow."""
    seen: defaultdict[str, int] = defaultdict(int)
    found = []
    rows = list(rows)
    methods = [row["method"] for row in rows]
    for row in rows:
        label = labels[row["setting"]] if methods.count(row["method"]) > 1 else ""
        found.append(
            Series(
                id=row["setting"],
                name=f"{row['method']} ({label})" if label else row["method"],
                look=look(row["sampler"], row["base_model"], hollow=seen[row["method"]] > 0),
            )
        )
        seen[row["method"]] += 1
    return found


def _known(tables: Tables) -> _Known:
    specs = tables.runs.unique("setting", keep="first", maintain_order=True).select("setting", "spec_json")
    sizes = ((setting, json.loads(spec)["settings"].get("curve_size")) for setting, spec in specs.iter_rows())
    ranked = (contest for rows in by_task(tables.accuracy).values() for contest in contests(rows))
    return _Known(
        changes=changed_settings(tables.runs),
        notes=run_notes(tables.runs),
        examples={setting: size for setting, size in sizes if isinstance(size, int)},
        dropping={row["setting"] for contest in ranked for row in contest.rows if drop(row, contest)},
    )


def _contest(id_: str, contest: Contest, known: _Known) -> ContestCurves:
    common = shared(contest.rows, known.changes)
    labels = {row["setting"]: note(row, known.changes, common) for row in contest.rows}
    curves = _curves(contest.rows)
    moved = _methods(curve for curve in curves if curve[0]["setting"] in known.dropping)
    sizes = [known.examples[setting] for setting in labels if setting in known.examples]
    chips = (*contest.chips, *([f"first {_range(sizes)} test examples"] if sizes else []))
    what = f"{contest.metric} {arrow(contest.direction)} by number of group samples k"
    changed = changed_sentence(contest.protocol, common)
    return ContestCurves(
        protocol=contest.protocol,
        chips=chips,
        group=_group(f"{id_}-figures", contest, chips, curves, labels) if contest.is_main else None,
        tables=(
            _table(f"{id_}-metric", what, curves, labels, _quality),
            _table(f"{id_}-variance", "Estimator variance by number of group samples k", curves, labels, _variance),
        ),
        remarks=(
            *([changed] if changed else []),
            *told(contest.rows, known.notes),
            *(
                [f"On inputs as they are; scores drop on moved inputs (see the leaderboard) for {moved}."]
                if moved
                else []
            ),
        ),
    )


def _curves(rows: Iterable[Row]) -> list[Curve]:
    grouped: defaultdict[str, Curve] = defaultdict(list)
    for row in rows:
        grouped[row["setting"]].append(row)
    return [sorted(curve, key=lambda row: row["samples"]) for curve in grouped.values()]


def _group(
    id_: str, contest: Contest, chips: Sequence[str], curves: Sequence[Curve], labels: Mapping[str, str]
) -> FigureGroup:
    curves = sorted(curves, key=lambda curve: _last(curve, contest.direction))
    shown = sorted(curves[:MOST_SERIES], key=lambda curve: (curve[0]["method"], curve[0]["setting"]))
    series = series_of((curve[0] for curve in shown), labels)
    ticks = sorted({row["samples"] for curve in shown for row in curve})
    x = Axis(title="group samples k at evaluation", log=True, ticks=ticks)
    lines = [_line(of, curve, "mean", "stderr") for of, curve in zip(series, shown, strict=True)]
    values = [value for line in lines for value in line.y]
    y = Axis(title=f"{contest.metric} {arrow(contest.direction)}", log=suits_log(values))
    spread = [
        _line(of, _above_rounding(curve, shown), "variance", "variance_stderr")
        for of, curve in zip(series, shown, strict=True)
    ]
    spread = [line for line in spread if line.x]
    figures = [figure(f"{contest.metric} against k ({better(contest.direction)})", lines, x, y)]
    if spread:
        figures.append(_variance_figure(spread, x))
    protocol_chip = f"protocol {contest.protocol}"
    return FigureGroup(
        id=id_,
        title=f"{contest.task}, {protocol_chip}",
        chips=(protocol_chip, *chips),
        legend=series,
        figures=figures,
        remarks=tuple(_remarks(shown, len(curves))),
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


def _above_rounding(curve: Curve, shown: Sequence[Curve]) -> Curve:
    """The points that have a place on the logarithmic axis of the variance."""
    floor = ROUNDING * max(row["variance"] or 0.0 for one in shown for row in one)
    return [row for row in curve if (row["variance"] or 0.0) > floor]


def _last(curve: Curve, direction: str) -> tuple[bool, float]:
    value = curve[-1]["mean"]
    return value is None, 0.0 if value is None else -value if direction == "max" else value


def _remarks(shown: Sequence[Curve], curves: int) -> Iterable[str]:
    yield "Bands are one standard error over seeds; where there is one seed there is no band."
    if curves > len(shown):
        yield f"{len(shown)} of {curves} curves are drawn, the best at their largest k; the table has all."
    for methods in _coinciding(shown):
        yield f"The same at every k, so on one another in the figure: {methods}."
    if exact := _methods(curve for curve in shown if not any(row["variance"] for row in curve)):
        yield (
            f"No chance in the prediction, so k changes nothing and the variance is zero (not on its "
            f"logarithmic axis): {exact}."
        )
    moving = [curve for curve in shown if any(row["variance"] for row in curve)]
    if rounding := _methods(curve for curve in moving if not _above_rounding(curve, shown)):
        yield f"A variance of rounding errors alone, below {ROUNDING:g} of the largest (not drawn): {rounding}."
    if single := _methods(curve for curve in moving if _takes_one_sample(curve[0]["method"])):
        yield f"One group element whatever k, so nothing changes with k: {single}."


def _coinciding(shown: Sequence[Curve]) -> Iterable[str]:
    """Methods whose curves hide one another."""
    alike: defaultdict[tuple[Any, ...], list[Curve]] = defaultdict(list)
    for curve in shown:
        alike[tuple((row["samples"], row["mean"]) for row in curve)].append(curve)
    return [_methods(curves) for curves in alike.values() if len(curves) > 1]


def _methods(curves: Iterable[Curve]) -> str:
    return listed(sorted({curve[0]["method"] for curve in curves}), 12)


def _takes_one_sample(method: str) -> bool:
    card = registry.methods().get(method)
    return card is not None and card.sampler is not None and card.sampler.single


def _table(id_: str, caption: str, curves: Sequence[Curve], labels: Mapping[str, str], cell: Any) -> Table:
    samples = sorted({row["samples"] for curve in curves for row in curve})
    return Table(
        id=id_,
        caption=caption,
        columns=[
            Column(title="Method"),
            *(Column(title=f"k = {k}", numeric=True) for k in samples),
            Column(title="Seeds", why="Runs that gave a value", numeric=True),
        ],
        rows=[
            [
                method_cell(curve[0], labels[curve[0]["setting"]]),
                *(cell(curve, k) for k in samples),
                Cell(text=_range([row["seeds"] for row in curve]), sort=max(row["seeds"] for row in curve)),
            ]
            for curve in curves
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
    why = "" if row["variance"] else "Exactly zero: no chance in the prediction"
    return Cell(text=small(row["variance"]), sort=row["variance"], why=why)


def _at(curve: Curve, k: int) -> Row | None:
    return next((row for row in curve if row["samples"] == k), None)


def _not_measured(curve: Curve, k: int) -> Cell:
    if _at(curve, k) is not None:
        return missing("No finite value")
    return missing(f"Not evaluated at k = {k}")


def _range(values: Sequence[int]) -> str:
    low, high = f"{min(values):,}", f"{max(values):,}"
    return low if low == high else f"{low} to {high}"
