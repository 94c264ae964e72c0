"""Runs the jobs of a launch in this process, with the launch's store, executor and tracker (no Ray)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cached_property

from harness.execution.messages import WorkerConfig
from harness.execution.run_job import RunTracker, run_job, run_stack
from harness.records.opening import open_store
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.training.context import Executor


class JobRunner:
    """Runs jobs in this process as ``config`` says."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config

    @cached_property
    def store(self) -> Store:
        return open_store(self.config.root)

    @cached_property
    def executor(self) -> Executor:
        """The function that runs a spec in this launch, imported on first use."""
        module, _, name = self.config.executor.partition(":")
        executor: Executor = getattr(importlib.import_module(module), name)
        return executor

    def run(self, job: Job, executor: Executor | None = None) -> Record:
        """Runs one job (with ``executor`` in place of the launch's, if given) and returns its record."""
        return run_job(
            job,
            self.store,
            self._tracker(job),
            execute=executor or self.executor,
            command=self.config.command,
        )

    def run_stack(self, jobs: Sequence[Job]) -> list[Record]:
        """Trains jobs that differ only by their seed in one stack and returns their records.

        Raises:
            NotStacked: They have to run one by one.
        """
        return run_stack(jobs, self.store, self._tracker, command=self.config.command)

    def _tracker(self, job: Job) -> RunTracker | None:
        if self.config.tracker is None:
            return None
        from harness.records.description import describe
        from harness.tracking import RunTracker as MlflowRun

        tracker: RunTracker = MlflowRun(self.config.tracker, job, describe(job.spec))
        return tracker
