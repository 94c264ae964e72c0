"""Quality, estimator variance and equivariance error against the number of group samples k."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import registry
from harness.collate import Tables
from harness.report.content.by_epoch import ByEpoch, by_epoch
from harness.report.content.comparison_groups import Contest, Row, contests
from harness.report.content.control_metrics import drop, plainly
from harness.report.content.curve_tables import Curve, curve_tables, is_flat, span
from harness.report.content.histories import Histories
from harness.report.content.notes import Notes, run_notes, told
from harness.report.content.settings import Changes, changed_sentence, changed_settings, note, shared
from harness.report.content.titles import arrow, better, task_title
from harness.report.rendering.cells import Table
from harness.report.rendering.figures import (
    MOST_SERIES,
    Axis,
    Figure,
    FigureGroup,
    Guide,
    Line,
    Series,
    figure,
    suits_log,
)
from harness.report.rendering.formats import listed
from harness.report.rendering.styles import look
from harness.report.sections.leaderboard import by_task

ROUNDING = 1e-9
"""A variance this far below the largest of a figure is of rounding errors, not of group samples."""

EXACT = 1e-4
"""A relative equivariance error below this is of rounding errors in single precision."""

SAMPLES_NEEDED = "Samples to within 1 % of the limit"

TRAINED_WITH = "settings.train_samples"
"""Has a column of its own in the tables."""


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
    """What other tables say of settings. ``examples`` of the test set, at most, are behind a curve; ``drops`` tell of
    scores that are worse where more is asked for; ``digests`` are of runs that succeeded."""

    changes: Changes
    notes: Notes
    examples: Mapping[str, int]
    drops: Mapping[str, str]
    digests: Mapping[str, Sequence[str]]
    histories: Histories | None


@dataclass(frozen=True, kw_only=True)
class _Strand:
    """The curves of one method in settings that differ by the k of training alone, by rising k."""

    series: Series
    curves: Sequence[Curve]

    @property
    def trained(self) -> list[int]:
        """The k of training where it matters: a method that brings its own samples has a flat curve."""
        known = (curve[0]["train_samples"] for curve in self.curves if not is_flat(curve))
        return [k for k in known if k is not None]


def sample_curves(tables: Tables, histories: Histories | None = None) -> list[TaskCurves]:
    """One entry per task that has curves; with ``histories`` of runs, figures by epoch beside them."""
    known = _known(tables, histories)
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


def _known(tables: Tables, histories: Histories | None) -> _Known:
    specs = tables.runs.unique("setting", keep="first", maintain_order=True).select("setting", "spec_json")
    sizes = ((setting, json.loads(spec)["settings"].get("curve_size")) for setting, spec in specs.iter_rows())
    ranked = (contest for rows in by_task(tables.accuracy).values() for contest in contests(rows))
    digests: defaultdict[str, list[str]] = defaultdict(list)
    for setting, digest, status in tables.runs.select("setting", "digest", "status").iter_rows():
        if status == "succeeded":
            digests[setting].append(digest)
    return _Known(
        changes=_less_trained_with(changed_settings(tables.runs)),
        notes=run_notes(tables.runs),
        examples={setting: size for setting, size in sizes if isinstance(size, int)},
        drops={row["setting"]: drop(row, contest) for contest in ranked for row in contest.rows},
        digests=digests,
        histories=histories,
    )


def _less_trained_with(changes: Changes) -> Changes:
    return {
        setting: values and {name: value for name, value in values.items() if name != TRAINED_WITH}
        for setting, values in changes.items()
    }


def _contest(id_: str, contest: Contest, known: _Known) -> ContestCurves:
    common = shared(contest.rows, known.changes)
    labels = {row["setting"]: note(row, known.changes, common) for row in contest.rows}
    curves = _curves(contest.rows)
    dropping = [curve for curve in curves if known.drops.get(curve[0]["setting"])]
    plain = plainly({known.drops[curve[0]["setting"]] for curve in dropping}, _methods(dropping))
    sizes = [known.examples[setting] for setting in labels if setting in known.examples]
    chips = (*contest.chips, *([f"first {span(sizes)} test examples"] if sizes else []))
    changed = changed_sentence(contest.protocol, common)
    return ContestCurves(
        protocol=contest.protocol,
        chips=chips,
        group=_group(f"{id_}-figures", contest, chips, curves, labels, known) if contest.is_main else None,
        tables=curve_tables(id_, contest, curves, labels),
        remarks=(
            *([changed] if changed else []),
            *told(contest.rows, known.notes),
            *([plain] if plain else []),
        ),
    )


def _curves(rows: Iterable[Row]) -> list[Curve]:
    grouped: defaultdict[tuple[str, str | None], Curve] = defaultdict(list)
    for row in rows:
        grouped[row["setting"], row["source"]].append(row)
    curves = [sorted(curve, key=lambda row: row["samples"]) for curve in grouped.values()]
    return sorted(curves, key=lambda curve: (curve[0]["method"], curve[0]["train_samples"] or 0, curve[0]["setting"]))


def _group(
    id_: str, contest: Contest, chips: Sequence[str], curves: Sequence[Curve], labels: Mapping[str, str], known: _Known
) -> FigureGroup:
    every = _strands(curves, labels)
    best = sorted(every, key=lambda strand: min(_last(curve, contest.direction) for curve in strand.curves))
    kept = {strand.series.id for strand in best[:MOST_SERIES]}
    strands = [strand for strand in every if strand.series.id in kept]
    shown = [curve for strand in strands for curve in strand.curves]
    panels = [figure for k in _trained(strands) for figure in _panel(contest, strands, k)]
    trained = [(strand.series, _digests(strand, contest, known)) for strand in strands]
    epochs = by_epoch(trained, known.histories) if known.histories else ByEpoch([], [])
    figures = [*panels, *_by_training(contest, strands), *epochs.figures]
    protocol_chip = f"protocol {contest.protocol}"
    return FigureGroup(
        id=id_,
        title=f"{contest.task}, {protocol_chip}",
        chips=(protocol_chip, *chips),
        legend=[strand.series for strand in strands],
        figures=figures,
        remarks=(*_remarks(shown, len(strands), len(every), figures), *_unread(epochs.unread)),
    )


def _strands(curves: Sequence[Curve], labels: Mapping[str, str]) -> list[_Strand]:
    grouped: defaultdict[tuple[str, str, str], list[Curve]] = defaultdict(list)
    for curve in curves:
        grouped[curve[0]["method"], labels[curve[0]["setting"]], curve[0]["source"] or ""].append(curve)
    series = series_of((found[0][0] for found in grouped.values()), labels)
    return [_Strand(series=of, curves=found) for of, found in zip(series, grouped.values(), strict=True)]


def _trained(strands: Iterable[_Strand]) -> Sequence[int | None]:
    """The k of training that have figures of their own: none but None where no method was trained with several."""
    studied = [strand.trained for strand in strands]
    if all(len(trained) < 2 for trained in studied):
        return [None]
    return sorted({k for trained in studied for k in trained})


def _panel(contest: Contest, strands: Sequence[_Strand], trained: int | None) -> Iterable[Figure]:
    """What was trained with one k (None: with any), against k at evaluation; flat curves stand in every panel."""
    pairs = [
        (strand.series, curve)
        for strand in strands
        for curve in strand.curves
        if trained is None or is_flat(curve) or curve[0]["train_samples"] == trained
    ]
    shown = [curve for _, curve in pairs]
    x = Axis(
        title="group samples k at evaluation",
        log=True,
        ticks=sorted({row["samples"] for curve in shown for row in curve}),
    )
    among = "" if trained is None else f", trained with k = {trained}"
    lines = [_line(of, curve, "mean", "stderr") for of, curve in pairs]
    y = Axis(title=f"{contest.metric} {arrow(contest.direction)}", log=suits_log([v for line in lines for v in line.y]))
    yield figure(f"{contest.metric} against k{among} ({better(contest.direction)})", lines, x, y)
    spread = [_line(of, above_rounding(curve, shown), "variance", "variance_stderr") for of, curve in pairs]
    if spread := [line for line in spread if line.x]:
        y = Axis(title="variance of the k-sample prediction", log=True)
        yield figure(f"Estimator variance against k{among}", spread, x, y, guide=_guide(spread, x, 1.0, "∝ 1/k"))
    errors = [_line(of, _inexact(curve), "equivariance", "equivariance_stderr") for of, curve in pairs]
    if errors := [line for line in errors if line.x]:
        y = Axis(title="|f(gx) − gf(x)| / |f(x)|", log=True)  # noqa: RUF001 (a minus sign)
        yield figure(f"Equivariance error against k{among}", errors, x, y, guide=_guide(errors, x, 0.5, "∝ 1/√k"))


def _guide(lines: Sequence[Line], x: Axis, exponent: float, text: str) -> Guide:
    """A power law above all curves, of those that fall where some do."""
    points = [[(k, y) for k, y in zip(line.x, line.y, strict=True) if y is not None] for line in lines]
    falling = [curve for curve in points if curve[-1][1] < curve[0][1]] or points
    level = 2 * max(value * k**exponent for curve in falling for k, value in curve)
    ends = (min(x.ticks), max(x.ticks))
    return Guide(x=ends, y=[level / k**exponent for k in ends], text=text)


def _by_training(contest: Contest, strands: Sequence[_Strand]) -> Iterable[Figure]:
    """What more samples in training buy, where some methods were trained with several k."""
    studied = [strand for strand in strands if len(strand.trained) > 1]
    if not studied:
        return
    x = Axis(title="group samples k in training", log=True, ticks=sorted({k for one in studied for k in one.trained}))
    ends = [(one.series, [curve[-1] for curve in one.curves if not is_flat(curve)]) for one in studied]
    starts = [(one.series, [curve[0] for curve in one.curves if not is_flat(curve)]) for one in studied]
    largest = max(row["samples"] for _, rows in ends for row in rows)
    quality = [_line(of, rows, "mean", "stderr", "train_samples") for of, rows in ends]
    yield figure(
        f"{contest.metric} at k = {largest} ({better(contest.direction)})",
        quality,
        x,
        Axis(title=f"{contest.metric} {arrow(contest.direction)}"),
    )
    needed = [_finite(_line(of, rows, "samples_needed", None, "train_samples")) for of, rows in ends]
    if any(value is not None for line in needed for value in line.y):
        known = sorted({value for line in needed for value in line.y if value is not None})
        yield figure(SAMPLES_NEEDED, needed, x, Axis(title="k at evaluation", log=True, ticks=known))
    spread = [_line(of, rows, "variance", "variance_stderr", "train_samples") for of, rows in starts]
    if any(value for line in spread for value in line.y):
        smallest = min(row["samples"] for _, rows in starts for row in rows)
        yield figure(f"Estimator variance at k = {smallest}", spread, x, Axis(title="variance", log=True))


def _digests(strand: _Strand, contest: Contest, known: _Known) -> Sequence[str]:
    """The runs of a method that a figure by epoch is of: at the published k of training, else at the largest."""
    card = registry.tasks().get(contest.task)
    published = card.protocols[contest.protocol].train_samples if card and contest.protocol in card.protocols else 0
    curve = next((one for one in strand.curves if one[0]["train_samples"] == published), strand.curves[-1])
    return known.digests.get(curve[0]["setting"], ())


def _line(series: Series, rows: Sequence[Row], value: str, error: str | None, against: str = "samples") -> Line:
    return Line(
        series=series,
        x=[row[against] for row in rows],
        y=[row[value] for row in rows],
        stderr=[row[error] if error else None for row in rows],
    )


def _finite(line: Line) -> Line:
    known = [None if value is None or value == float("inf") else value for value in line.y]
    return Line(series=line.series, x=line.x, y=known, stderr=line.stderr)


def above_rounding(curve: Curve, shown: Sequence[Curve]) -> Curve:
    """The points that have a place on a logarithmic axis of the variance."""
    floor = ROUNDING * max(row["variance"] or 0.0 for one in shown for row in one)
    return [row for row in curve if (row["variance"] or 0.0) > floor]


def _inexact(curve: Curve) -> Curve:
    """The points that have a place on the logarithmic axis of the equivariance error."""
    return [row for row in curve if (row["equivariance"] or 0.0) > EXACT]


def _last(curve: Curve, direction: str) -> tuple[bool, float]:
    value = curve[-1]["mean"]
    return value is None, 0.0 if value is None else -value if direction == "max" else value


def _remarks(shown: Sequence[Curve], drawn: int, every: int, figures: Sequence[Figure]) -> Iterable[str]:
    yield "Bands are one standard error over seeds; where there is one seed there is no band."
    if every > drawn:
        yield f"{drawn} of {every} curves are drawn, the best at their largest k; the table has all."
    for methods in _coinciding(shown):
        yield f"The same at every k, so on one another in the figure: {methods}."
    if exact := _methods(curve for curve in shown if not any(row["variance"] for row in curve)):
        yield (
            f"No chance in the prediction, so k changes nothing and the variance is zero (not on its "
            f"logarithmic axis): {exact}."
        )
    moving = [curve for curve in shown if any(row["variance"] for row in curve)]
    if rounding := _methods(curve for curve in moving if not above_rounding(curve, shown)):
        yield f"A variance of rounding errors alone, below {ROUNDING:g} of the largest (not drawn): {rounding}."
    if single := _methods(curve for curve in moving if _takes_one_sample(curve[0]["method"])):
        yield f"One group element whatever k, so nothing changes with k: {single}."
    measured = [curve for curve in shown if any(row["equivariance"] is not None for row in curve)]
    if exact := _methods(curve for curve in measured if not _inexact(curve)):
        yield f"Equivariant up to rounding, with an error of at most {EXACT:g} (not drawn): {exact}."
    if any(one.title == SAMPLES_NEEDED for one in figures):
        yield "Samples needed that are more than all measured, or that cannot be told, have no point: see the table."


def _unread(digests: list[str]) -> Iterable[str]:
    if digests:
        yield f"Not in the figures by epoch, since their histories are damaged: {listed(digests, 4)}."


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
