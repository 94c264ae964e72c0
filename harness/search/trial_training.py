"""The run of a trial: trained and validated like other runs, with a report after each validation, but not tested."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from baselines.build import load
from harness.errors import SuiteError
from harness.records.store import Store
from harness.registry import task
from harness.search.stepwise_thread import Emit
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.device import deterministic
from harness.training.examples import check_examples
from harness.training.fit import Fit
from harness.training.from_spec import monitor_of
from harness.training.results import Outcome
from harness.training.supervised import new_fit
from tasks.task import SupervisedTask

SCORE = "search/score"
NOT_TESTED = "A trial of a search: trained and validated, not tested."
STOPPED = "Stopped by the scheduler."


class Report(NamedTuple):
    """The score of a trial after ``epochs``: the validation metric of the weights that its run would keep."""

    epochs: int
    score: float

    @property
    def known_score(self) -> float | None:
        """The score, or None if it is not finite."""
        return self.score if math.isfinite(self.score) else None


class TrialRun:
    """Trains a run, emits a :class:`Report` after each validation, and stops when ``emit`` returns false."""

    _best: float | None

    def __init__(self, metric: str, emit: Emit[Report]) -> None:
        self._metric, self._emit = f"validation/{metric}", emit

    def __call__(self, spec: RunSpec, context: RunContext) -> Outcome:
        """Returns an outcome without test metrics."""
        self._hooks, self._monitor, self._best = context.hooks, monitor_of(spec), None
        with deterministic(context.device):
            problem = trained_task(spec)
            self._fit: Fit = new_fit(spec, problem, replace(context, hooks=self))
            progress = self._fit.run()
        return Outcome(
            metrics={},
            cost={
                "parameters": float(sum(parameter.numel() for parameter in self._fit.model.parameters())),
                "train_seconds": progress.train_seconds,
            },
            notes=(NOT_TESTED,) if self._fit.finished else (NOT_TESTED, STOPPED),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Logs all values; adds the score so far to those of a validation."""
        monitored = values.get(f"validation/{self._monitor.name}", math.nan)
        if self._monitor.better(monitored, self._best):
            self._best, self._score = monitored, values[self._metric]
        if "validation/loss" not in values or self._best is None:
            self._hooks.log(step, values)
            return
        self._hooks.log(step, {**values, SCORE: self._score})
        if not self._emit(Report(step + 1, self._score)):
            self._fit.stopped = True


def trained_task(spec: RunSpec) -> SupervisedTask:
    """The task of ``spec``.

    Raises :class:`SuiteError` if it has no validation set, and :class:`~tasks.errors.DataError` if its data
    cannot be used.
    """
    card = task(spec.task)
    made = load(card.implementation)
    refused = isinstance(made, type) and not issubclass(made, SupervisedTask)  # without reading its data
    problem = None if refused else made(card.settings_from(spec.task_params))
    if not isinstance(problem, SupervisedTask):
        raise SuiteError(f"The task '{spec.task}' has no validation set, so it cannot be searched.")
    check_examples(problem, ("train", "validation"))
    return problem


def final_report(store: Store, digest: str) -> Report:
    """The last report of a trial; one without a score if there is none."""
    return next(iter(deque(reports(store, digest), maxlen=1)), Report(0, math.nan))


def reports(store: Store, digest: str) -> Iterator[Report]:
    """The reports of a trial, read from its history."""
    import polars as pl

    rows = store.history(digest).filter(pl.col("name") == SCORE)
    return (Report(step + 1, value) for step, value in rows.select("step", "value").iter_rows())
