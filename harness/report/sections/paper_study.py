"""The published study of sample complexity beside ours: variance, loss and entropy by k in training and at evaluation.

The definitions are those of Kim et al. 2023 (appendix). Where two runs of one protocol are published, their difference
shows how much the authors' own runs vary.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any, NamedTuple

import polars as pl

from harness.differences import describe
from harness.errors import SymbenchError
from harness.report.content import published
from harness.report.content.by_epoch import MAX_SEEDS
from harness.report.content.captions import examples_in
from harness.report.content.comparison_groups import Row, by_task, nondefault_params
from harness.report.content.histories import COLUMNS, Histories, HistoryReader
from harness.report.content.published_grids import ByVersion, PublishedStudy, study_of, values_at
from harness.report.content.settings import changed_settings
from harness.report.content.study_heat_maps import NAMES, study_heat_maps
from harness.report.content.titles import card_id, task_title
from harness.report.rendering.cells import Cell, Column, Table, missing
from harness.report.rendering.figures import FigureGroup
from harness.report.rendering.formats import counted, estimate, listed

BY_EPOCH = {
    "permutation_entropy": ("validation/permutation_entropy", "Entropy of the mean permutation"),
    "gradient_norm": ("train/gradient_norm", "Norm of the mean gradient"),
}
TRAINED_ENTROPY = "permutation_entropy_trained"
"""The test metric with the entropy of the mean permutation of the trained network."""
MEASUREMENT_SETTINGS = (
    "settings.test_",
    "settings.curve_",
    "settings.variance_",
    "settings.analysis_",
    "settings.train_samples",
)
"""Settings that do not change the numbers of a trained network, or that have a column of their own."""
INITIALISATION_SETTINGS = ("base.", "sampler.", "settings.valid_size", "settings.precision", "task_params.")
"""The only settings that change the numbers of a network that was not trained."""


@dataclass(frozen=True, kw_only=True)
class StudyPart:
    """Our measurements beside the published ones, for one task, protocol, data set and settings."""

    title: str
    protocol: str
    chips: tuple[str, ...]
    heat_maps: FigureGroup | None
    tables: tuple[Table, ...]
    remarks: tuple[str, ...]


class _Estimate(NamedTuple):
    """A mean over seeds with its standard error. The mean is None if no run gave a finite value."""

    mean: float | None
    stderr: float | None
    seeds: int


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The rows of one part.

    Attributes:
        task: The name of the task.
        protocol: The name of the protocol.
        variant: The data, if it is not the published data set.
        source: The source of imported runs.
        changes: What all rows changed from the published settings; None if it is not known.
        rows: Rows of the table ``output_variance``.
    """

    task: str
    protocol: str
    variant: str | None
    source: str | None
    changes: Mapping[str, Any] | None
    rows: Sequence[Row]

    @property
    def theirs(self) -> PublishedStudy | None:
        """The published study of the task."""
        return study_of(self.task)

    @property
    def methods(self) -> list[str]:
        """The names of all methods."""
        return sorted({row["method"] for row in self.rows})

    def of(self, stage: str, method: str) -> list[Row]:
        """The rows of a method as ``initialised`` or as ``trained``."""
        return [row for row in self.rows if (row["stage"], row["method"]) == (stage, method)]


def paper_study(points: pl.DataFrame, runs: pl.DataFrame, histories: Histories | None = None) -> list[StudyPart]:
    """One entry for each task, protocol, data set and settings.

    Args:
        points: The table ``output_variance``.
        runs: The table ``runs``.
        histories: How the history of a run is read; without it there are no tables by epoch.
    """
    parts = enumerate(_parts(points, runs), start=1)
    return [_study_part(f"study-{number}", part, runs, histories) for number, part in parts]


def _parts(points: pl.DataFrame, runs: pl.DataFrame) -> Iterator[_Part]:
    """The parts by task, with the protocol of the paper first."""
    changes = _changes(runs)
    sources = dict(runs.select("setting", "source").iter_rows())
    for task, rows in by_task(points).items():
        grouped: defaultdict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
        for row in rows:
            own = _relevant(row, changes)
            label = row["setting"] if own is None else describe(own)
            grouped[row["protocol"], sources[row["setting"]] or "", row["variant"] or "", label].append(row)
        for key in sorted(grouped, key=lambda key: (key[0] != published.PROTOCOL, key)):
            protocol, source, variant, _ = key
            yield _Part(
                task=task,
                protocol=protocol,
                variant=variant or None,
                source=source or None,
                changes=_relevant(grouped[key][0], changes),
                rows=grouped[key],
            )


def _changes(runs: pl.DataFrame) -> Mapping[str, Mapping[str, Any] | None]:
    """The changes of each setting from the published settings, including the parameters of the task."""
    changes = changed_settings(runs)
    found: dict[str, Mapping[str, Any] | None] = {}
    for setting, task, params in runs.unique("setting").select("setting", "task", "task_params").iter_rows():
        own, other = changes[setting], nondefault_params(task, json.loads(params))
        found[setting] = None if own is None else {**own, **{f"task_params.{name}": other[name] for name in other}}
    return found


def _relevant(row: Row, changes: Mapping[str, Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    """The changes of a row that can change its numbers."""
    own = changes[row["setting"]]
    if own is None:
        return None
    if row["stage"] == "initialised":
        return {name: value for name, value in own.items() if name.startswith(INITIALISATION_SETTINGS)}
    return {name: value for name, value in own.items() if not name.startswith(MEASUREMENT_SETTINGS)}


def _study_part(id_: str, part: _Part, runs: pl.DataFrame, histories: Histories | None) -> StudyPart:
    tables = [
        *(_grid(part, method, quantity) for method in part.methods for quantity in NAMES if part.of("trained", method)),
        *_initialised(part),
        *_entropies(part, runs),
        *_epochs(part, runs, histories),
    ]
    return StudyPart(
        title=task_title(part.task),
        protocol=part.protocol,
        chips=tuple(_chips(part)),
        heat_maps=study_heat_maps(
            f"{id_}-maps",
            f"{part.task}, protocol {part.protocol}, published study",
            {method: rows for method in part.methods if (rows := part.of("trained", method))},
            part.theirs,
            _validated(part, runs),
        ),
        tables=tuple(replace(table, id=f"{id_}-{place}") for place, table in enumerate(tables, start=1)),
        remarks=tuple(_remarks(part)),
    )


def _validated(part: _Part, runs: pl.DataFrame) -> list[int]:
    """The numbers of validation examples of the runs, as far as they are known."""
    settings = [row["setting"] for row in part.rows]
    found = runs.filter(pl.col("setting").is_in(settings)).select("task", "task_version", "task_params", "spec_json")
    sizes = set()
    for task, version, params, spec in found.unique().iter_rows():
        limits = (json.loads(spec)["settings"].get("valid_size"), examples_in("validation", task, version, params))
        sizes.add(min((limit for limit in limits if limit is not None), default=None))
    return sorted(size for size in sizes if size is not None)


def _chips(part: _Part) -> Iterator[str]:
    if part.source:
        yield f"run by {part.source}"
    if part.variant:
        yield part.variant
    if part.changes:
        yield describe(part.changes)


def _grid(part: _Part, method: str, quantity: str) -> Table:
    """A quantity by k at evaluation (rows) and in training (columns)."""
    rows, theirs = part.of("trained", method), part.theirs
    grids = [grid for grid in theirs.trained if (grid.quantity, grid.method) == (quantity, method)] if theirs else []
    trained = sorted({*(row["train_samples"] for row in rows), *(k for grid in grids for k in grid.train_samples)})
    evaluated = sorted({*(row["samples"] for row in rows), *(k for grid in grids for k in grid.values)})
    ours = {(row["train_samples"], row["samples"]): _estimate(row, quantity) for row in rows}

    def cell(train_samples: int, samples: int) -> Cell:
        beside = theirs.of_trained(quantity, method, train_samples, samples) if theirs else {}
        return _cell(ours.get((train_samples, samples)), beside)

    return Table(
        id="",
        caption=f"{NAMES[quantity]} of {method} as trained, by k in training (columns) and at evaluation (rows)",
        columns=[
            Column(title="k at evaluation", numeric=True),
            *_columns("trained with k", trained),
        ],
        rows=[[Cell(text=str(k), sort=k), *(cell(column, k) for column in trained)] for k in evaluated],
    )


def _initialised(part: _Part) -> Iterator[Table]:
    """The variances of networks that were not trained, by k at evaluation."""
    rows = [row for row in part.rows if row["stage"] == "initialised"]
    if not rows:
        return
    series = part.theirs.initialised if part.theirs else []
    evaluated = sorted({*(row["samples"] for row in rows), *(k for one in series for k in one.values)})
    methods = sorted({row["method"] for row in rows})
    ours = {(row["method"], row["samples"]): row for row in rows}
    yield Table(
        id="",
        caption="Networks as initialised, by k at evaluation",
        columns=[Column(title="Method"), Column(title="Quantity"), *_columns("k", evaluated)],
        rows=[
            [
                *_head(method, NAMES[quantity]),
                *(
                    _cell(
                        _estimate(ours[method, k], quantity) if (method, k) in ours else None,
                        values_at(series, quantity, method, k),
                    )
                    for k in evaluated
                ),
            ]
            for method in methods
            for quantity in ("output_variance", "loss_variance")
        ],
    )


def _entropies(part: _Part, runs: pl.DataFrame) -> Iterator[Table]:
    """The entropy of the mean permutation of the trained network, by k in training."""
    measured = {
        (method, k): _pooled(_trained_entropies(runs, {row["setting"] for row in rows}))
        for method in part.methods
        for k, rows in _by_training(part.of("trained", method)).items()
    }
    ours = {place: one for place, one in measured.items() if one.seeds}
    if not ours:
        return
    series = part.theirs.by_training if part.theirs else []
    trained = sorted({*(k for _, k in ours), *(k for one in series for k in one.values)})
    yield Table(
        id="",
        caption="Entropy of the mean of 100 sampled permutations, by k in training",
        columns=[Column(title="Method"), *_columns("trained with k", trained)],
        rows=[
            [
                _method(method),
                *(_cell(ours.get((method, k)), values_at(series, "permutation_entropy", method, k)) for k in trained),
            ]
            for method in sorted({method for method, _ in ours})
        ],
    )


def _epochs(part: _Part, runs: pl.DataFrame, histories: Histories | None) -> Iterator[Table]:
    """What was measured in training, at the published epochs and with the published k."""
    theirs = part.theirs
    if theirs is None or histories is None:
        return
    epochs = sorted({epoch for one in theirs.by_epoch for epoch in one.values})
    rows = []
    for method in part.methods:
        settings = {row["setting"] for row in _by_training(part.of("trained", method)).get(theirs.train_samples, ())}
        logged = _logged(runs, settings, histories)
        for quantity, (name, title) in BY_EPOCH.items():
            found = logged.filter(name=name)
            # Steps start at 0: what was measured after the first epoch has step 0.
            ours = [_pooled(found.filter(step=epoch - 1)["value"].to_list()) for epoch in epochs]
            beside = [values_at(theirs.by_epoch, quantity, method, epoch) for epoch in epochs]
            if any(one.seeds for one in ours):
                rows.append([*_head(method, title), *map(_cell, ours, beside)])
    if rows:
        columns = [Column(title="Method"), Column(title="Quantity"), *_columns("epoch", epochs)]
        yield Table(id="", caption=f"By epoch, with k = {theirs.train_samples}", columns=columns, rows=rows)


def _logged(runs: pl.DataFrame, settings: set[str], histories: Histories) -> pl.DataFrame:
    """The histories of the runs of some settings, without those that are damaged.

    The section on sample complexity names the damaged ones.
    """
    histories = HistoryReader(histories)
    found = [pl.DataFrame(schema=COLUMNS)]
    for digest in _succeeded(runs, settings)["digest"].to_list()[:MAX_SEEDS]:
        try:
            found.append(histories(digest))
        except SymbenchError:
            continue
    return pl.concat(found).filter(pl.col("name").is_in([name for name, _ in BY_EPOCH.values()]))


def _trained_entropies(runs: pl.DataFrame, settings: set[str]) -> list[float]:
    found = (json.loads(metrics).get(TRAINED_ENTROPY) for metrics in _succeeded(runs, settings)["metrics"])
    return [value for value in found if value is not None]


def _succeeded(runs: pl.DataFrame, settings: set[str]) -> pl.DataFrame:
    return runs.filter(pl.col("setting").is_in(list(settings)), status="succeeded")


def _by_training(rows: Iterable[Row]) -> Mapping[int, list[Row]]:
    grouped: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["train_samples"]].append(row)
    return grouped


def _estimate(row: Row, quantity: str) -> _Estimate:
    return _Estimate(row[quantity], row[f"{quantity}_stderr"], row["seeds"])


def _pooled(values: Sequence[float]) -> _Estimate:
    """Mean and standard error of values; the error of a single value is not known."""
    if not values:
        return _Estimate(None, None, 0)
    return _Estimate(fmean(values), stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None, len(values))


def _cell(ours: _Estimate | None, theirs: ByVersion) -> Cell:
    """Our estimate, with the numbers of all published runs below it."""
    note = ", ".join(f"{name} {value:.4g}" for name, value in sorted(theirs.items())) or "not published"
    if ours is None or ours.mean is None:
        why = "Not measured here" if ours is None or not ours.seeds else "No run gave a finite value"
        return replace(missing(why), note=note)
    return Cell(text=estimate(ours.mean, ours.stderr), sort=ours.mean, why=counted(ours.seeds, "seed"), note=note)


def _head(method: str, quantity: str) -> list[Cell]:
    return [_method(method), Cell(text=quantity, sort=quantity)]


def _method(name: str) -> Cell:
    return Cell(text=name, sort=name, code=True, link=card_id("method", name))


def _columns(what: str, values: Iterable[int]) -> list[Column]:
    why = "Our mean, with the published numbers below it"
    return [Column(title=f"{what} = {value}", why=why, numeric=True) for value in values]


def _remarks(part: _Part) -> Iterator[str]:
    reasons = published.differences(part.protocol, part.variant, part.changes)
    theirs = part.theirs
    if theirs is None:
        yield "No study of this kind was published for this task."
        return
    repeats = {row["repeats"] for row in part.rows} - {1}  # deterministic predictions are not repeated
    if repeats - {theirs.repeats}:
        named = listed([str(count) for count in sorted(repeats)])
        reasons["repeats"] = f"variances over {named} repeats, not {theirs.repeats}"
    if reasons:
        yield (
            f"These runs do not follow the published protocol ({'; '.join(reasons.values())}): the published numbers "
            "below ours come from a different experiment."
        )
    versions = "; ".join(f"{name}: {published.version(name)}" for name in theirs.versions)
    yield f"The published runs are below our numbers ({versions}). They follow one protocol and show how runs vary."
    yield f"On the official data the entropy of uniform permutations is {theirs.uniform_entropy}."
    if any(row["seeds"] == 1 for row in part.rows):
        yield "With one seed there is no standard error."
