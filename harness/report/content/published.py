"""The papers' numbers beside ours, and whether the two may be compared."""

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
MARKED = ("network", "claim", "unknown k")
"""Differences that a number's own marks tell, whatever our run is."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Published(Strict):
    """One published result: a ``value`` in the unit of our metric, or a claim in words (``text``).

    ``samples`` and ``train_samples`` are k at evaluation and, where the paper varies it, in training. ``sampler`` holds
    settings of the sampler that are not the usual ones. ``version`` is the run or the version of the paper. ``network``
    says what was another network than ours of this name; a ``claim`` is confirmed by no number of the authors.
    """

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
            raise ValueError("what is said in words alone is a claim")
        return self

    @property
    def shown(self) -> str:
        return self.text or f"{self.value}"

    @property
    def lacks_k(self) -> bool:
        """Whether the number depends on a k that was not given."""
        return self.samples is None and _draws(self.method)

    @property
    def marks(self) -> list[str]:
        """What must be said wherever the number stands."""
        trained = f"trained with k = {self.train_samples}, " if self.train_samples else ""
        k = "k not given" if self.lacks_k else f"{trained}k = {self.samples} at evaluation" if self.samples else ""
        network = "another network" if self.network else ""
        sampler = describe(self.sampler)
        return list(filter(None, (sampler, k, network, "claim" if self.claim else "")))


class _File(Strict):
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
    """What was published for a task on this input, by method."""
    return _by_method(found for found in _on(task, task_params) if found.metric == metric)


def other_metrics(task: str, metric: str, task_params: Mapping[str, Any]) -> list[Published]:
    """What was published for a task on this input in metrics that rank nothing here."""
    return [found for found in _on(task, task_params) if found.metric != metric]


def source(result: Published) -> str:
    return _load().sources[result.source]


def version(name: str) -> str:
    return _load().versions[name]


def elsewhere() -> Mapping[str, str]:
    """The titles of methods that are not built here, by the names under which their results stand."""
    return _load().elsewhere


def closest(found: Sequence[Published], row: Mapping[str, Any], changes: Mapping[str, Any] | None) -> list[Published]:
    """Those of a method's results whose k and sampler are a row's, else those that come nearest: several runs of one.

    ``row`` is one of the table ``accuracy``.
    """

    def distance(result: Published) -> tuple[int, int, int]:
        others = (_beyond(result, changes or {}), _other_k(result, row), _other_sampler(result, changes))
        k = result.train_samples
        return sum(map(len, others)), abs((row["train_samples"] or 0) - k) if k else 0, k or 0

    nearest = min(map(distance, found))
    return [result for result in found if distance(result) == nearest]


def differences(protocol: str, variant: str | None, changes: Mapping[str, Any] | None) -> dict[str, str]:
    """In what a row is not what the paper ran, and how; empty where it is. ``changes`` of ``None`` are unknown."""
    reasons = {}
    if protocol != PROTOCOL:
        reasons["protocol"] = f"protocol {protocol}, not {PROTOCOL}"
    if changes is None:
        reasons["settings"] = "settings of another version, which cannot be checked"
    elif changes:
        reasons["settings"] = "settings changed from the published ones"
    if variant:
        reasons["data"] = f"{variant}, not the official set"
    return reasons


def differences_from(
    result: Published, row: Mapping[str, Any], protocol: str, variant: str | None, changes: Mapping[str, Any] | None
) -> dict[str, str]:
    """As :func:`differences`, from one result: its k and its sampler are what the row's must be."""
    reasons = differences(protocol, variant, None if changes is None else _beyond(result, changes))
    reasons |= _other_sampler(result, changes) | _other_k(result, row)
    if result.lacks_k:
        reasons["unknown k"] = "published without its k"
    if result.network:
        reasons["network"] = f"another network: {result.network}"
    if result.weights and row["weights"] != result.weights:
        reasons["weights"] = f"published from the weights {result.weights}, not {row['weights'] or 'known ones'}"
    if result.claim:
        reasons["claim"] = "a claim that no number of the authors confirms"
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
    """The changes that a result does not tell of itself."""
    named = {f"sampler.{name}" for name in result.sampler}
    if result.samples:
        named.add("settings.test_samples")
    if result.train_samples:
        named.add("settings.train_samples")
    return {name: value for name, value in changes.items() if name not in named}


def _other_sampler(result: Published, changes: Mapping[str, Any] | None) -> dict[str, str]:
    """A result's settings of the sampler are none of the usual ones, so a row has them among its changes or not."""
    own = changes or {}
    if all(own.get(f"sampler.{name}") == value for name, value in result.sampler.items()):
        return {}
    return {"sampler": f"published with {describe(result.sampler)}"}


def _other_k(result: Published, row: Mapping[str, Any]) -> dict[str, str]:
    """Where the row has another k in training or at evaluation; for methods that draw samples."""
    if not _draws(result.method):
        return {}
    pairs = (
        ("trained with k", row["train_samples"], result.train_samples),
        ("k at evaluation", row["test_samples"], result.samples),
    )
    others = [f"{what} = {ours}, published with {theirs}" for what, ours, theirs in pairs if theirs not in (None, ours)]
    return {"k": "; ".join(others)} if others else {}
