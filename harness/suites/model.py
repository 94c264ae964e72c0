"""Suites: YAML files that expand to runs (no torch).

A name in ``tasks`` or ``methods`` may be a glob (``mlp-*``) or ``all``. Of an experiment's tasks x methods, the pairs
that fit are run and the others are listed as misfits. Values of ``task_params``, ``base`` and ``sampler`` reach those
of the selected tasks and methods that have such a parameter; a name that none of them has is an error. Of two values
for one setting the later of these wins: the suite's, the experiment's, those under ``overrides`` in their order, the
grid's.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from pydantic import Field, PrivateAttr

from baselines.cards import MethodCard
from harness import registry
from harness.errors import SuiteError, SymbenchError
from harness.spec import Job, Resources, RunSpec
from harness.suites.fields import Names, PartialResources, PartialSettings, Plugins, Seeds, StrictModel, matching
from harness.suites.run_validation import unworkable
from harness.suites.source import SuiteFile
from tasks.cards import TaskCard

MOST_RUNS = 1_000_000
Params = Mapping[str, Any]


class Misfit(NamedTuple):
    """A pair of a suite that cannot be run, and the reason."""

    task: str
    method: str
    reason: str


class Expansion(NamedTuple):
    """The runs of a suite, each once and in its order, and the pairs that do not fit."""

    jobs: list[Job]
    misfits: list[Misfit]


class Defaults(StrictModel):
    """The fields that a suite can set for all its experiments."""

    protocol: str | None = None
    seeds: Seeds | None = None
    settings: PartialSettings = Field(default_factory=dict)
    resources: PartialResources = Field(default_factory=dict)


class Choices(Defaults):
    """The fields that an experiment, an override or a grid point can set for its runs."""

    task_params: dict[str, Any] = Field(default_factory=dict)
    base: dict[str, Any] = Field(default_factory=dict)
    sampler: dict[str, Any] = Field(default_factory=dict)


class Experiment(Choices):
    """Tasks x methods x grid x seeds; ``grid`` maps dotted fields (``task_params.nodes``) to lists of values."""

    tasks: Names
    methods: Names
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)

    def points(self) -> Iterator[tuple[Choices, ...]]:
        """Every combination of the grid's values; one empty combination where there is no grid."""
        axes = [[point(name, value) for value in values] for name, values in self.grid.items()]
        return itertools.product(*axes)


class Override(Choices):
    """Choices for the pairs whose names match ``task`` and ``method``."""

    task: str = "all"
    method: str = "all"

    def applies(self, task: str, method: str) -> bool:
        """Returns True if both names match."""
        return bool(matching(self.task, [task])) and bool(matching(self.method, [method]))


class Suite(Defaults):
    """Experiments under one name."""

    name: str = Field(min_length=1)
    description: str = ""
    plugins: Plugins = Field(default_factory=list)
    protocol: str
    seeds: Seeds = Field(default_factory=lambda: [0])
    experiments: Annotated[list[Experiment], Field(min_length=1)]
    overrides: list[Override] = Field(default_factory=list)
    _file: SuiteFile | None = PrivateAttr(default=None)
    _renamed: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def renamed(self) -> Mapping[str, str]:
        """Maps the names of earlier versions in its file to current ones."""
        return self._renamed

    def under_current_names(self) -> Suite:
        """Returns the suite with current names of methods; logs one warning if it has old ones."""
        patterns = [name for experiment in self.experiments for name in experiment.methods]
        renamed = registry.renamed_methods([*patterns, *(override.method for override in self.overrides)])
        if not renamed:
            return self
        experiments = [
            experiment.model_copy(update={"methods": [renamed.get(name, name) for name in experiment.methods]})
            for experiment in self.experiments
        ]
        overrides = [
            override.model_copy(update={"method": renamed.get(override.method, override.method)})
            for override in self.overrides
        ]
        suite = self.model_copy(update={"experiments": experiments, "overrides": overrides})
        suite._renamed = renamed
        return suite

    def expand(self) -> Expansion:
        """Every run once (of two equal runs the first is kept, with its resources) and the pairs that do not fit.

        Raises :class:`SuiteError` for a name that the registry does not know.
        """
        jobs: dict[str, Job] = {}
        misfits: dict[Misfit, None] = {}
        for index, task, method in self._pairs():
            experiment = self.experiments[index]
            applying = [place for place, item in enumerate(self.overrides) if item.applies(task.name, method.name)]
            for grid_point in experiment.points():
                chosen = _merge([self, experiment, *(self.overrides[place] for place in applying), *grid_point])
                try:
                    spec, resources = _resolve(task, method, chosen), Resources(**chosen["resources"])
                except registry.Uncovered as error:
                    misfits[Misfit(task.name, method.name, str(error))] = None
                    continue
                except SymbenchError as error:
                    raise SuiteError(self._placed(str(error), index, applying)) from error
                for seed in chosen["seeds"]:
                    job = Job(spec=replace(spec, seed=seed), suite=self.name, resources=resources)
                    jobs.setdefault(job.spec.digest, job)
                if len(jobs) > MOST_RUNS:
                    raise SuiteError(self._placed(f"There are more than {MOST_RUNS:,} runs.", index, ()))
        return Expansion(list(jobs.values()), list(misfits))

    def _pairs(self) -> Iterator[tuple[int, TaskCard, MethodCard]]:
        for index, experiment in enumerate(self.experiments):
            tasks = [registry.task(name) for name in selected(experiment.tasks, registry.tasks())]
            methods = [registry.method(name) for name in selected(experiment.methods, registry.methods())]
            points = len(tasks) * len(methods) * math.prod(len(values) for values in experiment.grid.values())
            if points > MOST_RUNS:
                raise SuiteError(self._placed(f"There are {points:,} runs, and {MOST_RUNS:,} at most.", index, ()))
            yield from ((index, task, method) for task in tasks for method in methods)

    def _placed(self, sentence: str, experiment: int, overrides: Sequence[int]) -> str:
        """The error of a run, with the place of the setting that it names; the last place counts if several set it."""
        if self._file is None:
            return sentence
        around = [*(("overrides", place) for place in reversed(overrides)), ("experiments", experiment), ()]
        grid = [
            (("experiments", experiment, "grid", name), name.rpartition(".")[2])
            for name in self.experiments[experiment].grid
        ]
        named = [((*loc, section, name), name) for loc in around for section, name in self._file.settings(loc)]
        words = set(re.findall(r"\w+", sentence))
        loc = next((loc for loc, name in (*grid, *named) if name in words), ("experiments", experiment))
        return f"{self._file.where(loc)}: {sentence}"


def point(name: str, value: Any) -> Choices:
    """One value of a grid's axis. Raises ``ValidationError`` for an unknown field or a wrong value."""
    section, _, field = name.partition(".")
    return Choices.model_validate({section: {field: value} if field else value})


def selected(patterns: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """The known names that match the patterns, each once; a plain name is kept even if it is unknown."""
    return list(dict.fromkeys(name for pattern in patterns for name in matching(pattern, known) or [pattern]))


def fitting(values: Params, known: Params) -> dict[str, Any]:
    """Those of ``values`` that are known."""
    return {name: value for name, value in values.items() if name in known}


def _merge(layers: Sequence[Defaults]) -> dict[str, Any]:
    merged: dict[str, Any] = {"settings": {}, "resources": {}, "task_params": {}, "base": {}, "sampler": {}}
    for layer in layers:
        for name in layer.model_fields_set & Choices.model_fields.keys():
            value = getattr(layer, name)
            if isinstance(value, dict):
                merged[name] = {**merged[name], **value}
            elif value is not None:
                merged[name] = value
    return {"seeds": layers[0].seeds, **merged}


def _resolve(task: TaskCard, method: MethodCard, chosen: Params) -> RunSpec:
    """The run. Raises ``Uncovered`` if the pair does not fit and :class:`SymbenchError` if its settings cannot work."""
    if chosen["protocol"] not in task.protocols:
        raise registry.Uncovered(f"{task.name} has no protocol {chosen['protocol']}")
    task_params = fitting(chosen["task_params"], task.params)
    if reason := method.misfit(task, registry.resolved_task(task, task_params)):
        raise registry.Uncovered(reason)
    spec = registry.resolve(
        task.name,
        method.name,
        chosen["protocol"],
        seed=0,
        task_params=task_params,
        base=fitting(chosen["base"], method.base.params),
        sampler=fitting(chosen["sampler"], method.sampler.params if method.sampler else {}),
        settings=chosen["settings"],
    )
    if reason := unworkable(spec, task, chosen["settings"], Resources(**chosen["resources"])):
        raise SuiteError(f"{task.name} x {method.name} cannot be run with these settings: {reason}.")
    return spec
