"""Sample complexity: metric, estimator variance and equivariance error against the number of group samples k."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import registry
from harness.collate import Tables
from harness.report.content.badges import Badges, badge_sentences, badges
from harness.report.content.by_epoch import ByEpoch, by_epoch
from harness.report.content.captions import BANDS, caption, examples_in_test
from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.curve_scores import RankedScores, ranked_scores, score_remarks, scored_curve
from harness.report.content.curve_tables import curve_tables
from harness.report.content.curves import (
    EXACT,
    ROUNDING,
    Curve,
    above_rounding,
    inexact,
    is_flat,
    needed_axis,
    needed_line,
)
from harness.report.content.histories import Histories
from harness.report.content.methods import method_series, takes_one_sample
from harness.report.content.notes import Notes, note_sentences, run_notes
from harness.report.content.sample_heat_maps import sample_heat_maps
from harness.report.content.settings import (
    Changes,
    changed_sentence,
    changed_settings,
    setting_label,
    shared_changes,
    shared_protocol,
)
from harness.report.content.titles import arrow, better, task_title
from harness.report.rendering.cells import Table
from harness.report.rendering.figures import (
    MAX_SERIES,
    Axis,
    Figure,
    FigureGroup,
    Guide,
    Line,
    Series,
    figure,
    needs_log_axis,
)
from harness.report.rendering.formats import listed, range_text

SAMPLES_NEEDED = "Samples to within 1 % of the limit"
NEEDED = "an arrow: more are needed than the largest k measured; no point: not known (see the table)"

TRAINED_WITH = "settings.train_samples"
"""This setting has a column of its own in the tables."""


@dataclass(frozen=True, kw_only=True)
class ComparisonGroupCurves:
    """The curves of one comparison group.

    Attributes:
        protocol: The protocol of the group.
        chips: What distinguishes the group from the others of its task.
        heat_maps: k in training by k at evaluation; None unless a method of the main group was trained with several k.
        figure_group: The figures; None unless the group is the main one of its protocol.
        tables: The tables.
        remarks: Sentences about figures and tables.
    """

    protocol: str
    chips: tuple[str, ...]
    heat_maps: FigureGroup | None
    figure_group: FigureGroup | None
    tables: tuple[Table, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaskCurves:
    """The curves of one task."""

    id: str
    name: str
    title: str
    comparison_groups: tuple[ComparisonGroupCurves, ...]


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What other tables say about settings.

    Attributes:
        changes: The changes from the published settings without k in training, which has a column of its own.
        published: All changes from the published settings.
        notes: The notes of the runs.
        examples: The number of test examples from which the curve of a setting is computed, if it is known.
        badges: The badges of the settings.
        ranked: What is known of the score that ranks a setting.
        digests: The digests of the runs that succeeded.
        histories: How the history of a run is read.
    """

    changes: Changes
    published: Changes
    notes: Notes
    examples: Mapping[str, int]
    badges: Badges
    ranked: RankedScores
    digests: Mapping[str, Sequence[str]]
    histories: Histories | None


@dataclass(frozen=True, kw_only=True)
class _MethodCurves:
    """The curves of one method in settings that differ only by k in training, sorted by it."""

    series: Series
    curves: Sequence[Curve]

    @property
    def trained(self) -> list[int]:
        """The values of k in training, without those of flat curves, which do not depend on it."""
        known = (curve[0]["train_samples"] for curve in self.curves if not is_flat(curve))
        return [k for k in known if k is not None]


def sample_complexity(tables: Tables, histories: Histories | None = None) -> list[TaskCurves]:
    """One entry for each task that has curves.

    Args:
        tables: The collated records.
        histories: How the history of a run is read; without it there are no figures by epoch.
    """
    settings = _settings(tables, histories)
    found = []
    for number, (task, rows) in enumerate(by_task(tables.sample_complexity).items(), start=1):
        id_ = f"samples-{number}"
        groups = tuple(
            _comparison_group(f"{id_}-{n}", one, settings) for n, one in enumerate(comparison_groups(rows), start=1)
        )
        found.append(TaskCurves(id=id_, name=task, title=task_title(task), comparison_groups=groups))
    return found


def _settings(tables: Tables, histories: Histories | None) -> _Settings:
    specs = tables.runs.unique("setting", keep="first", maintain_order=True).select("setting", "spec_json")
    sizes = ((setting, _examples(json.loads(spec))) for setting, spec in specs.iter_rows())
    changed = changed_settings(tables.runs)
    digests: defaultdict[str, list[str]] = defaultdict(list)
    for setting, digest, status in tables.runs.select("setting", "digest", "status").iter_rows():
        if status == "succeeded":
            digests[setting].append(digest)
    return _Settings(
        changes=_without_trained_with(changed),
        published=changed,
        notes=run_notes(tables.runs),
        examples={setting: size for setting, size in sizes if size is not None},
        badges=badges(tables),
        ranked=ranked_scores(tables.accuracy),
        digests=digests,
        histories=histories,
    )


def _examples(spec: Row) -> int | None:
    """The number of test examples from which the curve of a run is computed."""
    tested = examples_in_test(spec["task"], spec["task_version"], json.dumps(spec["task_params"]))
    limits = (spec["settings"].get("curve_size"), spec["settings"].get("test_size"), tested)
    return min((limit for limit in limits if isinstance(limit, int)), default=None)


def _without_trained_with(changes: Changes) -> Changes:
    return {
        setting: values and {name: value for name, value in values.items() if name != TRAINED_WITH}
        for setting, values in changes.items()
    }


def _comparison_group(id_: str, comparison_group: ComparisonGroup, settings: _Settings) -> ComparisonGroupCurves:
    rows = comparison_group.rows
    common = shared_changes(rows, settings.changes)
    labels = {row["setting"]: setting_label(row, settings.changes, common) for row in rows}
    curves = [scored_curve(curve, settings.ranked) for curve in _curves(rows)]
    sizes = [settings.examples[setting] for setting in labels if setting in settings.examples]
    first = f"first {range_text(sizes)} test examples" if sizes else ""
    shown = replace(comparison_group, chips=tuple(filter(None, (*comparison_group.chips, first))))
    changed = changed_sentence(comparison_group.protocol, common)
    said = (*badge_sentences(rows, settings.badges), *score_remarks(curves, settings.ranked, comparison_group.metric))
    marks = settings.badges
    drawn = _by_method(curves, labels, marks) if shown.is_main else []
    any_k = {setting: _any_k(label) for setting, label in labels.items()}
    by_training = _by_method(curves, any_k, marks) if drawn else []
    return ComparisonGroupCurves(
        protocol=shared_protocol(shown.protocol, rows, settings.published),
        chips=shown.chips,
        heat_maps=sample_heat_maps(
            f"{id_}-maps", shown, [(one.series, one.curves) for one in by_training], settings.examples
        ),
        figure_group=_figure_group(f"{id_}-figures", shown, drawn, settings) if shown.is_main else None,
        tables=curve_tables(id_, shown, curves, labels, marks, sizes),
        remarks=tuple(filter(None, (changed, *note_sentences(rows, settings.notes), *said))),
    )


def _any_k(label: str) -> str:
    """A label without k in training, which it has if the changes from the published settings are not known."""
    return ", ".join(part for part in label.split(", ") if not part.startswith("train_samples="))


def _curves(rows: Iterable[Row]) -> list[Curve]:
    grouped: defaultdict[tuple[str, str | None], Curve] = defaultdict(list)
    for row in rows:
        grouped[row["setting"], row["source"]].append(row)
    curves = [sorted(curve, key=lambda row: row["samples"]) for curve in grouped.values()]
    return sorted(curves, key=lambda curve: (curve[0]["method"], curve[0]["train_samples"] or 0, curve[0]["setting"]))


def _figure_group(
    id_: str,
    comparison_group: ComparisonGroup,
    every: Sequence[_MethodCurves],
    settings: _Settings,
) -> FigureGroup:
    best = sorted(every, key=lambda one: min(_last(curve, comparison_group.direction) for curve in one.curves))
    kept = {one.series.id for one in best[:MAX_SERIES]}
    drawn = [one for one in every if one.series.id in kept]
    rows = (curve[0] for one in every for curve in one.curves)
    protocol = shared_protocol(comparison_group.protocol, rows, settings.published)
    shown = [curve for one in drawn for curve in one.curves]
    panels = [panel for k in _trained(drawn) for panel in _panel(comparison_group, drawn, k, settings.examples)]
    trained = [(one.series, _digests(one, comparison_group, settings)) for one in drawn]
    epochs = by_epoch(trained, settings.histories) if settings.histories else ByEpoch([], [])
    figures = [*panels, *_by_training(comparison_group, drawn, settings.examples), *epochs.figures]
    return FigureGroup(
        id=id_,
        title=f"{comparison_group.task}, protocol {comparison_group.protocol}",
        chips=(f"protocol {protocol}", *comparison_group.chips),
        legend=[one.series for one in drawn],
        figures=figures,
        remarks=(*_remarks(shown, len(drawn), len(every)), *_unread(epochs.unread)),
    )


def _by_method(curves: Sequence[Curve], labels: Mapping[str, str], marks: Badges) -> list[_MethodCurves]:
    grouped: defaultdict[tuple[str, str, str], list[Curve]] = defaultdict(list)
    for curve in curves:
        grouped[curve[0]["method"], labels[curve[0]["setting"]], curve[0]["source"] or ""].append(curve)
    series = method_series((found[0][0] for found in grouped.values()), labels, marks)
    return [_MethodCurves(series=of, curves=found) for of, found in zip(series, grouped.values(), strict=True)]


def _trained(methods: Iterable[_MethodCurves]) -> Sequence[int | None]:
    """The values of k in training that have figures of their own; only None if no method was trained with several."""
    trained = [one.trained for one in methods]
    if all(len(values) < 2 for values in trained):
        return [None]
    return sorted({k for values in trained for k in values})


def _panel(
    comparison_group: ComparisonGroup,
    methods: Sequence[_MethodCurves],
    trained: int | None,
    examples: Mapping[str, int],
) -> Iterable[Figure]:
    """Figures against k at evaluation of what was trained with one k, or with any k if ``trained`` is None.

    Flat curves are in every panel.
    """
    pairs = [
        (one.series, curve)
        for one in methods
        for curve in one.curves
        if trained is None or is_flat(curve) or curve[0]["train_samples"] == trained
    ]
    shown = [curve for _, curve in pairs]
    x = Axis(
        title="group samples k at evaluation",
        log=True,
        ticks=sorted({row["samples"] for curve in shown for row in curve}),
    )
    among = "" if trained is None else f", trained with k = {trained}"
    said = (_caption([row for curve in shown for row in curve], examples),)
    metric, direction = comparison_group.metric, comparison_group.direction
    lines = _with_values(_line(of, curve, "mean", "stderr") for of, curve in pairs)
    y = Axis(title=f"{metric} {arrow(direction)}", log=needs_log_axis([v for line in lines for v in line.y]))
    if lines:
        yield figure(f"{metric} against k{among} ({better(direction)})", lines, x, y, caption=said)
    spread = [_line(of, above_rounding(curve, shown), "variance", "variance_stderr") for of, curve in pairs]
    if spread := [line for line in spread if line.x]:
        y = Axis(title="variance of the k-sample prediction", log=True)
        guide = _guide(spread, x, 1.0, "∝ 1/k")
        yield figure(f"Estimator variance against k{among}", spread, x, y, guide=guide, caption=said)
    errors = [_line(of, inexact(curve), "equivariance", "equivariance_stderr") for of, curve in pairs]
    if errors := [line for line in errors if line.x]:
        y = Axis(title="|f(gx) − gf(x)| / |f(x)|", log=True)  # noqa: RUF001 (a minus sign)
        guide = _guide(errors, x, 0.5, "∝ 1/√k")
        yield figure(f"Equivariance error against k{among}", errors, x, y, guide=guide, caption=said)


def _caption(rows: Sequence[Row], examples: Mapping[str, int], *others: str) -> str:
    sizes = [examples[setting] for setting in {row["setting"] for row in rows} if setting in examples]
    return caption(rows, *(others or (BANDS,)), examples=sizes)


def _guide(lines: Sequence[Line], x: Axis, exponent: float, text: str) -> Guide:
    """A power law above all curves, or above all falling curves if there are any."""
    points = [[(k, y) for k, y in zip(line.x, line.y, strict=True) if y is not None] for line in lines]
    falling = [curve for curve in points if curve[-1][1] < curve[0][1]] or points
    level = 2 * max(value * k**exponent for curve in falling for k, value in curve)
    ends = (min(x.ticks), max(x.ticks))
    return Guide(x=ends, y=[level / k**exponent for k in ends], text=text)


def _by_training(
    comparison_group: ComparisonGroup, methods: Sequence[_MethodCurves], examples: Mapping[str, int]
) -> Iterable[Figure]:
    """Figures against k in training, if a method was trained with several k."""
    several = [one for one in methods if len(one.trained) > 1]
    if not several:
        return
    x = Axis(title="group samples k in training", log=True, ticks=sorted({k for one in several for k in one.trained}))
    ends = [(one.series, [curve[-1] for curve in one.curves if not is_flat(curve)]) for one in several]
    starts = [(one.series, [curve[0] for curve in one.curves if not is_flat(curve)]) for one in several]
    largest = max(row["samples"] for _, rows in ends for row in rows)
    quality = _with_values(_line(of, rows, "mean", "stderr", "train_samples") for of, rows in ends)
    metric, direction = comparison_group.metric, comparison_group.direction
    title = f"{metric} at k = {largest} ({better(direction)})"
    all_rows = [row for _, rows in ends for row in rows]
    said = (_caption(all_rows, examples),)
    if quality:
        yield figure(title, quality, x, Axis(title=f"{metric} {arrow(direction)}"), caption=said)
    if needed := [line for of, rows in ends if (line := needed_line(of, rows, "train_samples")).x]:
        without_bands = (_caption(all_rows, examples, NEEDED),)
        yield figure(SAMPLES_NEEDED, needed, x, needed_axis(needed), caption=without_bands)
    spread = [_line(of, rows, "variance", "variance_stderr", "train_samples") for of, rows in starts]
    if any(value for line in spread for value in line.y):
        smallest = min(row["samples"] for _, rows in starts for row in rows)
        yield figure(f"Estimator variance at k = {smallest}", spread, x, Axis(title="variance", log=True), caption=said)


def _digests(method: _MethodCurves, comparison_group: ComparisonGroup, settings: _Settings) -> Sequence[str]:
    """The runs in the figures by epoch: those trained with the published k, else those with the largest k."""
    card = registry.tasks().get(comparison_group.task)
    protocol = card.protocols.get(comparison_group.protocol) if card else None
    published = protocol.train_samples if protocol else 0
    curve = next((one for one in method.curves if one[0]["train_samples"] == published), method.curves[-1])
    return settings.digests.get(curve[0]["setting"], ())


def _line(series: Series, rows: Sequence[Row], value: str, error: str | None, against: str = "samples") -> Line:
    return Line(
        series=series,
        x=[row[against] for row in rows],
        y=[row[value] for row in rows],
        stderr=[row[error] if error else None for row in rows],
    )


def _with_values(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if any(value is not None for value in line.y)]


def _last(curve: Curve, direction: str) -> tuple[bool, float]:
    """The sort key of a curve by its value at the largest k, best first."""
    value = curve[-1]["mean"]
    return value is None, 0.0 if value is None else -value if direction == "max" else value


def _remarks(shown: Sequence[Curve], drawn: int, every: int) -> Iterable[str]:
    if every > drawn:
        yield f"{drawn} of {every} curves are drawn, those that are best at their largest k. The table has all."
    if exact := _methods(curve for curve in shown if not any(row["variance"] for row in curve)):
        yield (
            "The predictions of these methods are deterministic, so k changes nothing and the variance is zero (not on "
            f"the logarithmic axis): {exact}."
        )
    random = [curve for curve in shown if any(row["variance"] for row in curve)]
    if rounding := _methods(curve for curve in random if not above_rounding(curve, shown)):
        yield f"The variance is a rounding error, below {ROUNDING:g} of the largest (not drawn): {rounding}."
    if single := _methods(curve for curve in random if takes_one_sample(curve[0]["method"])):
        yield f"These methods use one group element at every k, so k changes nothing: {single}."
    measured = [curve for curve in shown if any(row["equivariance"] is not None for row in curve)]
    if exact := _methods(curve for curve in measured if not inexact(curve)):
        yield f"Equivariant up to rounding, with an error of at most {EXACT:g} (not drawn): {exact}."


def _unread(digests: list[str]) -> Iterable[str]:
    if digests:
        yield f"Left out of the figures by epoch, since their histories are damaged: {listed(digests, 4)}."


def _methods(curves: Iterable[Curve]) -> str:
    return listed(sorted({curve[0]["method"] for curve in curves}), 12)
