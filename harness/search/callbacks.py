"""Callbacks of Ray Tune in the driver: they update the journal, the store and the progress."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ray import tune

from harness.execution.progress import Progress
from harness.execution.run_job import SENTENCE_CHARACTERS, failed_record
from harness.records.record import Failure
from harness.records.store import Store
from harness.search.journal import Journal
from harness.search.trial import TrialConfig
from harness.spec import Job


class Watch(tune.Callback):
    """Reports trials to the journal, the store and the progress; not those that had a record before.

    Runs of ``config`` that are known in advance are not written to the journal.
    """

    def __init__(self, config: TrialConfig, journal: Journal, store: Store, progress: Progress) -> None:
        self._config, self._journal, self._store, self._progress = config, journal, store, progress
        self._known = {digest for digest, status in store.statuses().items() if status == "succeeded"}

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks; they are never loaded."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._store.check_lock()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._propose(trial)
        if (job := self._job(trial)).spec.digest not in self._known:
            self._progress.started(job)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial that was stopped early has its record a moment later, one that failed has it already."""
        job = self._job(trial)
        failed = math.isnan(trial.last_result["score"])
        if job.spec.digest not in self._known:
            self._progress.finished(job, "failed" if failed else "succeeded", self._sentence(job) if failed else None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Writes the record of a trial whose process died.

        Tune repeats a trial whose process dies during it, but not one whose process dies just before it.
        """
        self._propose(trial)
        job = self._job(trial)
        if self._store.read(job.spec.digest) is None:
            self._store.write(failed_record(job, Failure(sentence=_reason(trial))), [])
        self._progress.finished(job, "failed", self._sentence(job))

    def _propose(self, trial: Any) -> None:
        if not self._config.jobs:
            self._journal.add(self._config.search.points.values(trial.config))

    def _job(self, trial: Any) -> Job:
        return self._config.job(trial.config)

    def _sentence(self, job: Job) -> str | None:
        record = self._store.read(job.spec.digest)
        return record.failure.sentence if record and record.failure else None


def _reason(trial: Any) -> str:
    """The most informative line of the error file that Tune keeps of a trial."""
    text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace") if trial.error_file else ""
    lines = text.rpartition("Failure #")[2].strip().splitlines()[1:] or ["its process died"]
    return f"The trial did not run: {lines[-1] if 'ray::' in lines[0] else lines[0]}"[:SENTENCE_CHARACTERS]
