"""The process that runs jobs one after another: the class behind a Ray actor (no Ray here)."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from baselines.out_of_memory import free_accelerator
from harness import registry
from harness.errors import ClusterError, SymbenchError
from harness.execution.data_parallel import run_data_parallel
from harness.execution.job_runner import JobRunner
from harness.execution.messages import RunResult, WorkerConfig, WorkerInfo
from harness.execution.same_code import worker_info
from harness.records.opening import existing_store
from harness.records.record import Record
from harness.spec import Job
from harness.training.memory import keep_freed_memory


class Worker:
    """Runs jobs in this process."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._runner = JobRunner(config)

    def start(self) -> WorkerInfo:
        """Registers plug-in files, checks the store, imports what the runs need and returns the code of this process.

        Raises:
            ClusterError: This process cannot use a plug-in file, or cannot write to the store of the launch.
        """
        root = self._config.root
        try:
            registry.add_files(self._config.plugin_files)
            store = existing_store(root)
            if store is None or not store.has_launch(self._config.launch_id):
                raise ClusterError(
                    f"The store {root} is not seen: "
                    "put it where all nodes of the cluster see it under the same path (--store)."
                )
            store.try_writing()
        except SymbenchError as error:
            raise ClusterError(f"On the node {socket.gethostname()}: {error}") from error
        self._runner.store = store
        _ = self._runner.executor  # imported now, so that an executor that cannot be imported ends the launch
        keep_freed_memory()
        return worker_info()

    def run(self, jobs: Sequence[Job]) -> list[RunResult]:
        """Runs ``jobs``, of which several differ only by their seed and are trained in one stack.

        Raises:
            NotStacked: Several jobs have to run one by one.
        """
        try:
            records = self._run(jobs)
        finally:
            free_accelerator()
        return [RunResult(status=one.status, sentence=one.failure.sentence if one.failure else None) for one in records]

    def _run(self, jobs: Sequence[Job]) -> list[Record]:
        if jobs[0].resources.workers > 1:
            return [run_data_parallel(jobs[0], self._runner)]
        if len(jobs) > 1:
            return self._runner.run_stack(jobs)
        return [self._runner.run(jobs[0])]
