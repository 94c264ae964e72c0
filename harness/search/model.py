"""Searches: YAML files that name a task, a method, the settings to vary and the algorithm (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from harness import registry
from harness.errors import DoesNotFit
from harness.plugins.plugin_file import PluginFile
from harness.search.space import Dimension, Space, Values
from harness.spec import Job
from harness.suites.fields import Number, PartialResources, PartialSettings, Plugins, StrictModel, Whole
from harness.suites.model import Suite
from harness.suites.yaml_source import dump

SECTIONS = ("settings", "task_params", "base", "sampler")


class Search(StrictModel):
    """One task and one method with a space of settings around the fixed ones.

    Every trial is trained with ``seed``; then the best and the default, which is the search without its space, are
    trained with ``compare`` other seeds. The suite that a search writes has ``confirm`` other seeds. ``metric`` is a
    metric of the validation set (``None``: the task's), ``grace`` the number of epochs before a trial can be stopped,
    and ``reduction`` the reduction factor of ``asha``.
    """

    name: str = Field(pattern=r"^\w[\w.-]*$")
    description: str = ""
    plugins: Plugins = Field(default_factory=list)
    task: str
    method: str
    protocol: str
    settings: PartialSettings = Field(default_factory=dict)
    resources: PartialResources = Field(default_factory=dict)
    task_params: dict[str, Any] = Field(default_factory=dict)
    base: dict[str, Any] = Field(default_factory=dict)
    sampler: dict[str, Any] = Field(default_factory=dict)
    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    metric: str | None = None
    trials: Whole = Field(ge=1)
    algorithm: str = "tpe"
    scheduler: str = "asha"
    grace: Whole = Field(default=1, ge=1)
    reduction: Number = Field(default=3, gt=1)
    seed: Whole = Field(default=0, ge=0, lt=2**32)
    compare: Whole = Field(default=5, ge=0)
    confirm: Whole = Field(default=5, ge=2)

    @property
    def points(self) -> Space:
        """The space of the settings that vary."""
        return Space(self.space)

    @property
    def scored(self) -> str:
        """The validation metric by which trials are compared."""
        return self.metric or registry.task(self.task).metric

    @property
    def mode(self) -> str:
        """``min`` or ``max``."""
        return "min" if self.scored == "loss" else registry.task(self.task).direction

    @property
    def most_runs(self) -> int:
        """The number of runs: the trials, then the best and the default on each seed of their comparison."""
        return self.trials + 2 * self.compare

    @property
    def suite_name(self) -> str:
        """The name of the suite in the records of the trials."""
        return f"search/{self.name}"

    @property
    def plugin_files(self) -> Sequence[PluginFile]:
        """The plug-in files whose cards the trials use."""
        return registry.files_of([self.example.spec])

    @property
    def probe(self) -> dict[str, Any]:
        """A point of the space."""
        return {name: dimension.probes[0] for name, dimension in self.space.items()}

    @property
    def example(self) -> Job:
        """One trial, for what all trials have in common."""
        return self.trial(self.probe)

    def trial(self, values: Values, seed: int | None = None) -> Job:
        """The run with these values of the space, whose weights are not kept: those of the best suite are.

        Without values it is the default, and without ``seed`` it has that of the search.

        Raises :class:`DoesNotFit` if the pair does not fit.
        """
        seeds = [self.seed if seed is None else seed]
        jobs, misfits = Suite.model_validate(self._suite(self.suite_name, seeds, values)).expand()
        if not jobs:
            raise DoesNotFit(f"{misfits[0].method} does not fit {misfits[0].task}: {misfits[0].reason}.")
        return replace(jobs[0], resources=replace(jobs[0].resources, keep_weights=False))

    def other_seeds(self, count: int) -> list[int]:
        """The first ``count`` seeds that the trials do not have."""
        return [seed for seed in range(count + 1) if seed != self.seed][:count]

    def confirmation(self, values: Values, why: str) -> str:
        """The text of a suite that runs these values with seeds that the search did not use.

        The :attr:`plugin_files` have to be in the folder of the suite.
        """
        seeds = self.other_seeds(self.confirm)
        plugins = {"plugins": [file.name for file in self.plugin_files]} if self.plugin_files else {}
        data = {"description": why, **plugins, **self._suite(f"{self.name}_best", seeds, values)}
        return dump(data)

    def _suite(self, name: str, seeds: Sequence[int], values: Values) -> dict[str, Any]:
        sections: dict[str, dict[str, Any]] = {section: dict(getattr(self, section)) for section in SECTIONS}
        for key, value in values.items():
            section, _, setting = key.partition(".")
            sections[section][setting] = value
        pair = {"tasks": [self.task], "methods": [self.method]}
        experiment = pair | {section: chosen for section, chosen in sections.items() if chosen}
        resources = {"resources": self.resources} if self.resources else {}
        return {"name": name, "protocol": self.protocol, "seeds": list(seeds), **resources, "experiments": [experiment]}
