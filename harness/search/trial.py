"""The trainable of Ray Tune: an actor that runs one trial after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune

from baselines.out_of_memory import free_accelerator
from harness import registry
from harness.errors import SuiteError
from harness.execution.messages import WorkerInfo
from harness.execution.run_job import RunTracker, failed_record, run_job
from harness.execution.same_code import code_mismatch, worker_info
from harness.plugins.plugin_file import PluginFile
from harness.records.description import describe
from harness.records.opening import open_store
from harness.records.record import Failure
from harness.search.model import Search
from harness.search.stepwise_thread import Emit, StepwiseThread
from harness.search.trial_training import Report, TrialRun, reports
from harness.spec import Job
from harness.tracking import RunTracker as MlflowRun
from harness.tracking import TrackerHandle

JOB = "job"
"""The key of a configuration that names a run known in advance."""


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """What all trials of a search share.

    Attributes:
        search: The search.
        store: The address of its store.
        since: Its start in ISO 8601 (UTC).
        driver: The code of the driver.
        command: The command line of the launch.
        tracker: The MLflow run of the launch (``None``: trials are not mirrored).
        plugin_files: The plug-in files of the driver, which a worker registers before anything else.
        jobs: Runs that are known in advance, named by their place; otherwise a trial is a point of the space.
    """

    search: Search
    store: str
    since: str
    driver: WorkerInfo
    command: Sequence[str]
    tracker: TrackerHandle | None = None
    plugin_files: Sequence[PluginFile] = ()
    jobs: Sequence[Job] = ()

    def job(self, config: Mapping[str, Any]) -> Job:
        """The run of a trial that Tune gave this configuration."""
        return self.jobs[config[JOB]] if self.jobs else self.search.trial(self.search.points.values(config))


class TrialFailed(RuntimeError):
    """Raised for a trial whose run has a failed record."""


class Trial(tune.Trainable):
    """A trial whose steps are validations; each reports ``score`` and ``epochs``."""

    _training: StepwiseThread[Report]
    _last: Report

    def setup(self, config: dict[str, Any], trial_config: TrialConfig | None = None) -> None:
        from harness.training.memory import keep_freed_memory

        assert trial_config is not None
        registry.add_files(trial_config.plugin_files)
        if reason := code_mismatch(worker_info(), trial_config.driver):
            raise SuiteError(reason)
        keep_freed_memory()
        self._config, self._store = trial_config, open_store(trial_config.store)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Returns a NaN score for a run that failed. If this raises, Tune repeats the trial in another process."""
        timeout = self._job.resources.timeout
        try:
            report = self._training.next(None if timeout is None else self._since + timeout - time.monotonic())
        except TimeoutError:
            failure = Failure(sentence=f"The trial took longer than {timeout:g} s.")
            self._store.write(failed_record(self._job, failure), [])
            raise
        except TrialFailed:
            return {**self._last._replace(score=math.nan)._asdict(), "done": True}
        self._last = report or self._last
        return {**self._last._asdict(), "done": report is None}

    def cleanup(self) -> None:
        """Ends the run; if it is not finished it gets the record of a stopped trial."""
        self._training.end()
        free_accelerator()

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._job = self._config.job(config)
        self._since = time.monotonic()
        self._last = Report(0, math.nan)
        self._training = StepwiseThread(self._run)

    def _run(self, emit: Emit[Report]) -> None:
        """Trains and emits reports; if there is a record, emits the reports in its history instead."""
        job, config = self._job, self._config
        record = self._store.read(job.spec.digest)
        if record is None or (record.status == "failed" and record.finished < config.since):
            run = TrialRun(config.search.scored, emit)
            record = run_job(job, self._store, self._tracker(job), execute=run, command=config.command)
        else:
            all(map(emit, reports(self._store, job.spec.digest)))
        if record.failure is not None:
            raise TrialFailed(record.failure.sentence)

    def _tracker(self, job: Job) -> RunTracker | None:
        handle = self._config.tracker
        return None if handle is None else MlflowRun(handle, job, describe(job.spec))
