"""The plan of a launch: which runs have a record, which are to run, and which pairs do not fit."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness.differences import describe, differing, flat
from harness.errors import SuiteError
from harness.records.cost_estimates import Costs, Estimate
from harness.records.plugin_code import others_of
from harness.registry import check_implementations, plugins_of, renamed_methods
from harness.spec import Job
from harness.suites.labels import label
from harness.suites.model import Misfit, Suite
from harness.utils.redaction import redacted_values
from harness.utils.text import nearest

if TYPE_CHECKING:
    from harness.records.store import Store

Seconds = Mapping[str, Estimate | None]
State = Literal["done", "failed", "new"]
_STATES: Mapping[str | None, State] = {"succeeded": "done", "failed": "failed", None: "new"}


class Line(NamedTuple):
    """Runs that differ only in their seeds, and the settings in which they differ from the others of their pair."""

    jobs: list[Job]
    differs: str


@dataclass(frozen=True)
class Plan:
    """The runs of a suite compared with the records of a store. Failed runs are run again.

    ``by_other_code`` maps the name of a plug-in to the runs that are done and whose records were made with other code
    of it. They count as done, since a change of numbers needs a new version of the card.
    """

    suite: str
    jobs: Sequence[Job]
    states: Mapping[str, State]
    misfits: Sequence[Misfit]
    by_other_code: Mapping[str, Sequence[Job]] = field(default_factory=dict)

    def state(self, job: Job) -> State:
        """The state of a run of the plan."""
        return self.states[job.spec.digest]

    def lines(self) -> list[Line]:
        """One line for each setting, grouped by pair, with the settings in which the lines of a pair differ."""
        lines: dict[str, list[Job]] = {}
        pairs: dict[str, dict[str, Mapping[str, Any]]] = {}
        for job in self.jobs:
            lines.setdefault(job.spec.setting, []).append(job)
        for setting, (job, *_) in lines.items():
            values = job.spec.to_dict()
            shown = {name: values.pop(name) for name in ("task", "task_params", "method", "protocol")}
            pairs.setdefault(json.dumps(shown), {})[setting] = flat({**values, "seed": None})
        return [
            Line(lines[setting], describe({path: values[path] for path in paths if path in values}))
            for settings in pairs.values()
            for paths in [differing(settings.values())]
            for setting, values in settings.items()
        ]

    def check_some(self) -> None:
        """Raises :class:`SuiteError` if no pair of the suite fits."""
        if not self.jobs:
            pair = self.misfits[0]
            raise SuiteError(
                f"{self.suite}: no pair fits, so there is nothing to run ({pair.task} x {pair.method}: {pair.reason})."
            )

    def notes(self) -> list[str]:
        """One line for each plug-in whose code has changed since runs of the suite were done, with these runs."""
        lines = []
        for name, jobs in self.by_other_code.items():
            settings: dict[str, list[Job]] = {}
            for job in jobs:
                settings.setdefault(job.spec.setting, []).append(job)
            runs = "; ".join(label(*same) for same in settings.values())
            lines.append(
                f"{len(jobs)} records were made with other or unknown code of the plug-in {name}: {runs}. "
                "They count as done: if numbers changed, raise the version of its card or name a new --store."
            )
        return lines

    @property
    def done(self) -> list[Job]:
        """The runs that have a record of success."""
        return [job for job in self.jobs if self.state(job) == "done"]

    @property
    def failed(self) -> list[Job]:
        """The runs that have a record of a failure."""
        return [job for job in self.jobs if self.state(job) == "failed"]

    @property
    def todo(self) -> list[Job]:
        """The runs that a launch would run: new and failed ones."""
        return [job for job in self.jobs if self.state(job) != "done"]


def plan(suite: Suite, store: Store | None, only: Sequence[str] = ()) -> Plan:
    """Compares the runs of a suite, or those that match one of the filters ``only``, with the records of a store.

    A filter is written like ``task=nbody,method=gnn-*``. Without a store no run has a record. Raises
    :class:`SymbenchError` if a filter matches nothing or a setting contains a secret.
    """
    jobs, misfits = suite.expand()
    refuse_secrets(jobs)
    tasks = dict.fromkeys([job.spec.task for job in jobs] + [pair.task for pair in misfits])
    methods = dict.fromkeys([job.spec.method for job in jobs] + [pair.method for pair in misfits])
    only = _under_current_names(only, suite.renamed)
    filters = [_Filter.parse(text, suite.name, tasks, methods) for text in only]
    if filters:
        jobs = [job for job in jobs if any(item.passes(job.spec.task, job.spec.method) for item in filters)]
        misfits = [pair for pair in misfits if any(item.passes(pair.task, pair.method) for item in filters)]
        if not jobs and not misfits:
            raise SuiteError(f"--only {' '.join(only)}: the suite '{suite.name}' has no such pair.")
    check_implementations(job.spec for job in jobs)
    statuses = store.statuses() if store is not None else {}
    states = {job.spec.digest: _STATES[statuses.get(job.spec.digest)] for job in jobs}
    return Plan(suite.name, jobs, states, misfits, _by_other_code(jobs, states, store))


def _under_current_names(only: Sequence[str], warned: Mapping[str, str]) -> list[str]:
    """Returns the filters with current names of methods; logs one warning unless the suite has the same old names."""
    filters = [[part.partition("=") for part in text.split(",")] for text in only]
    patterns = [name.strip() for parts in filters for kind, _, name in parts if kind.strip() == "method"]
    renamed = renamed_methods(patterns, warned)
    return [
        ",".join(kind + equals + renamed.get(name.strip(), name) for kind, equals, name in parts) for parts in filters
    ]


def _by_other_code(jobs: Sequence[Job], states: Mapping[str, State], store: Store | None) -> dict[str, list[Job]]:
    """Runs that are done and whose records have no code or other code than the installed one, by plug-in."""
    found: dict[str, list[Job]] = {}
    if store is None or not plugins_of(job.spec for job in jobs):
        return found
    for job in jobs:
        record = store.read(job.spec.digest) if states[job.spec.digest] == "done" else None
        for name in others_of(job.spec, record.provenance) if record is not None else ():
            found.setdefault(name, []).append(job)
    return found


def refuse_secrets(jobs: Iterable[Job]) -> None:
    """Raises :class:`SuiteError` if a setting contains a password, a token or a key."""
    specs = (job.spec for job in jobs)
    shared = {tuple(map(id, (one.task_params, one.base, one.sampler, one.settings))): one for one in specs}  # by seeds
    words: set[tuple[str, str]] = set()
    lists: set[tuple[str, str]] = set()
    for spec in shared.values():
        values = flat(spec.to_dict())
        words.update((name, value) for name, value in values.items() if isinstance(value, str))
        lists.update((name, json.dumps(value)) for name, value in values.items() if isinstance(value, list))
    for name, value in sorted(lists.union((name, json.dumps(value)) for name, value in words)):
        if redacted_values({name: value}) != {name: value}:
            raise SuiteError(
                f"The setting {name} holds a password, a token or a key, and settings are kept in every record: "
                "let the task or the method read it from the environment."
            )


def estimates(jobs: Sequence[Job], store: Store | None) -> Seconds:
    """The estimated time of each run by its digest, from the records of ``store``; ``None`` if there is no basis."""
    costs = Costs(store.records() if store is not None else ())
    return {job.spec.digest: costs.estimate(job.spec) for job in jobs}


def longest_first(jobs: Sequence[Job], seconds: Seconds) -> list[Job]:
    """Sorts jobs by decreasing time, so that no long run starts last; runs without an estimate come first."""

    def order(job: Job) -> float:
        estimate = seconds[job.spec.digest]
        return -math.inf if estimate is None else -estimate.seconds

    return sorted(jobs, key=order)


@dataclass(frozen=True)
class _Filter:
    """Globs for tasks and methods: at least one of each kind must match, if there is any."""

    tasks: tuple[str, ...]
    methods: tuple[str, ...]

    @staticmethod
    def parse(text: str, suite: str, tasks: Collection[str], methods: Collection[str]) -> _Filter:
        known = {"task": tasks, "method": methods}
        given: dict[str, list[str]] = {"task": [], "method": []}
        for part in text.split(","):
            kind, equals, pattern = (piece.strip() for piece in part.partition("="))
            if kind not in known or not equals:
                hint = f": {nearest(kind, known)}" if equals else ", for example --only task=nbody,method=egnn"
                raise SuiteError(f"--only {text}: write task=NAME, method=NAME or both{hint}")
            if not any(fnmatchcase(name, pattern) for name in known[kind]):
                hint = nearest(pattern.replace("*", ""), known[kind])
                raise SuiteError(f"--only {text}: the suite '{suite}' has no {kind} '{pattern}': {hint}")
            given[kind].append(pattern)
        return _Filter(tuple(given["task"]), tuple(given["method"]))

    def passes(self, task: str, method: str) -> bool:
        return _matches(self.tasks, task) and _matches(self.methods, method)


def _matches(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
