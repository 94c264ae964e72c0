"""The numbers that papers report, and whether a row of ours may be compared with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness import registry
from harness.differences import describe

FILE = Path(__file__).with_name("published.yaml")
PROTOCOL = "paper"
"""The protocol with the published settings."""
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
"""Unknown fields and values of another type are errors."""
QUALIFIED = ("network", "claim", "unknown k")
"""Differences that the qualifiers of a result name already, whatever our run is."""


class Published(BaseModel):
    """One published result.

    Attributes:
        task: The name of the task.
        method: The name of the method.
        metric: The name of the metric.
        value: The result in the unit of our metric; None for a claim in words.
        text: A claim in words.
        task_params: The parameters of the task for which the result holds.
        sampler: Settings of the sampler that are not its defaults.
        samples: The number of group samples k at evaluation, if known.
        train_samples: The number of group samples k in training, if the paper varies it.
        version: The run, or the version of the paper.
        network: How the network differs from ours of this name, if it does.
        weights: The pretrained weights.
        claim: Whether no number by the authors confirms the result.
        note: What else a reader should know.
        source: The key of the paper.
    """

    model_config = STRICT

    task: str
    method: str
    metric: str
    value: float | None = None
    text: str = ""
    task_params: dict[str, Any] = Field(default_factory=dict)
    sampler: dict[str, Any] = Field(default_factory=dict)
    samples: int | None = None
    train_samples: int | None = None
    version: str
    network: str = ""
    weights: str = ""
    claim: bool = False
    note: str = ""
    source: str

    @model_validator(mode="after")
    def _one_of_two(self) -> Published:
        if (self.value is None) == (not self.text):
            raise ValueError("a published result has either a value or a text")
        if self.text and not self.claim:
            raise ValueError("a published result without a value is a claim")
        return self

    @property
    def shown(self) -> str:
        """The result as text."""
        return self.text or f"{self.value}"

    @property
    def lacks_k(self) -> bool:
        """Whether the result depends on k at evaluation, but was published without it."""
        return self.samples is None and _draws(self.method)

    @property
    def qualifiers(self) -> list[str]:
        """What must be stated wherever the result is shown."""
        trained = f"trained with k = {self.train_samples}, " if self.train_samples else ""
        k = "k not given" if self.lacks_k else f"{trained}k = {self.samples} at evaluation" if self.samples else ""
        network = "another network" if self.network else ""
        sampler = describe(self.sampler)
        return list(filter(None, (sampler, k, network, "claim" if self.claim else "")))


class _File(BaseModel):
    """The contents of ``published.yaml``."""

    model_config = STRICT

    sources: dict[str, str]
    versions: dict[str, str]
    elsewhere: dict[str, str]
    results: list[Published]

    @model_validator(mode="after")
    def _all_named(self) -> _File:
        for result in self.results:
            if result.source not in self.sources or result.version not in self.versions:
                raise ValueError(f"no such source or version: {result.source}, {result.version}")
        return self


@cache
def _load() -> _File:
    return _File.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def results(task: str, metric: str, task_params: Mapping[str, Any]) -> dict[str, list[Published]]:
    """The published results for a task with these parameters, by method."""
    return _by_method(found for found in _on(task, task_params) if found.metric == metric)


def other_metrics(task: str, metric: str, task_params: Mapping[str, Any]) -> list[Published]:
    """The published results for a task with these parameters in other metrics than ``metric``."""
    return [found for found in _on(task, task_params) if found.metric != metric]


def source(result: Published) -> str:
    """The citation of a result."""
    return _load().sources[result.source]


def version(name: str) -> str:
    """The description of a version."""
    return _load().versions[name]


def elsewhere() -> Mapping[str, str]:
    """The titles of methods that are published but not implemented here, by name."""
    return _load().elsewhere


def nearest_results(
    found: Sequence[Published], row: Mapping[str, Any], changes: Mapping[str, Any] | None
) -> list[Published]:
    """The published results that are nearest to a row in k and in the settings of the sampler.

    Args:
        found: The published results of the row's method; not empty.
        row: A row of the table ``accuracy``.
        changes: The changes of the row from the published settings.

    Returns:
        All results at the smallest distance: there are several if the paper has several runs.
    """

    def distance(result: Published) -> tuple[int, int, int]:
        others = (_beyond(result, changes or {}), _other_k(result, row), _other_sampler(result, changes))
        k = result.train_samples
        return sum(map(len, others)), abs((row["train_samples"] or 0) - k) if k else 0, k or 0

    nearest = min(map(distance, found))
    return [result for result in found if distance(result) == nearest]


def differences(protocol: str, variant: str | None, changes: Mapping[str, Any] | None) -> dict[str, str]:
    """The reasons why a row is not what the paper ran, by a short name; empty if it is the same.

    Args:
        protocol: The protocol of the row.
        variant: The data of the row, if not the official data set.
        changes: The changes of the row from the published settings; None if they are not known.
    """
    reasons = {}
    if protocol != PROTOCOL:
        reasons["protocol"] = f"protocol {protocol}, not {PROTOCOL}"
    if changes is None:
        reasons["settings"] = "settings of another version, which cannot be compared"
    elif changes:
        reasons["settings"] = "settings changed from the published ones"
    if variant:
        reasons["data"] = f"{variant}, not the official set"
    return reasons


def differences_from(
    result: Published, row: Mapping[str, Any], protocol: str, variant: str | None, changes: Mapping[str, Any] | None
) -> dict[str, str]:
    """The reasons why a row is not what the paper ran for one result, including k and sampler.

    See :func:`differences`.
    """
    reasons = differences(protocol, variant, None if changes is None else _beyond(result, changes))
    reasons |= _other_sampler(result, changes) | _other_k(result, row)
    if result.lacks_k:
        reasons["unknown k"] = "published without its k"
    if result.network:
        reasons["network"] = f"another network: {result.network}"
    if result.weights and row["weights"] != result.weights:
        reasons["weights"] = f"published from the weights {result.weights}, not {row['weights'] or 'known ones'}"
    if result.claim:
        reasons["claim"] = "a claim that no number by the authors confirms"
    return reasons


def _on(task: str, task_params: Mapping[str, Any]) -> list[Published]:
    params = dict(task_params)
    return [found for found in _load().results if found.task == task and found.task_params.items() <= params.items()]


def _by_method(found: Iterable[Published]) -> dict[str, list[Published]]:
    methods: defaultdict[str, list[Published]] = defaultdict(list)
    for result in found:
        methods[result.method].append(result)
    return dict(methods)


def _draws(method: str) -> bool:
    card = registry.methods().get(method)
    return card is not None and card.sampler is not None and not card.sampler.single


def _beyond(result: Published, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes of a row that are not settings which the result itself states."""
    named = {f"sampler.{name}" for name in result.sampler}
    if result.samples:
        named.add("settings.test_samples")
    if result.train_samples:
        named.add("settings.train_samples")
    return {name: value for name, value in changes.items() if name not in named}


def _other_sampler(result: Published, changes: Mapping[str, Any] | None) -> dict[str, str]:
    """The reason if the row does not have the sampler settings of the result.

    A result states only settings that are not defaults, so they must be among the changes of the row.
    """
    own = changes or {}
    if all(own.get(f"sampler.{name}") == value for name, value in result.sampler.items()):
        return {}
    return {"sampler": f"published with {describe(result.sampler)}"}


def _other_k(result: Published, row: Mapping[str, Any]) -> dict[str, str]:
    """The reason if the row has another k in training or at evaluation; only for methods that draw samples."""
    if not _draws(result.method):
        return {}
    pairs = (
        ("trained with k", row["train_samples"], result.train_samples),
        ("k at evaluation", row["test_samples"], result.samples),
    )
    others = [f"{what} = {ours}, published with {theirs}" for what, ours, theirs in pairs if theirs not in (None, ours)]
    return {"k": "; ".join(others)} if others else {}
