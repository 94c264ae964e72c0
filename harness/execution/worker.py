"""The process that runs jobs, one after the other: what a Ray actor is made of (no Ray here)."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import SymbenchError
from harness.execution.run_job import Executor, RunTracker, run_job, run_stack
from harness.records.opening import existing_store, open_store
from harness.records.plugin_code import PluginCode, plugin_code, used_by
from harness.records.provenance import code_digest
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job, RunSpec

if TYPE_CHECKING:
    from harness.tracking import TrackerHandle


@dataclass(frozen=True, kw_only=True)
class WorkerInfo:
    """Where a process is, and whose code it runs: ``code`` is :func:`~harness.records.provenance.code_digest`."""

    pid: int
    host: str
    tasks_file: str
    code: str
    plugins: Mapping[str, PluginCode] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """What every worker of a launch is told. ``executor`` is ``module:function``, ``root`` the store's address, and
    ``driver`` greets with the plug-ins that the launch's runs use."""

    root: Path | str
    launch_id: str
    executor: str
    command: Sequence[str]
    driver: WorkerInfo | None = None
    tracker: TrackerHandle | None = None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """All that the driver needs to know of a run: its record is in the store."""

    status: Literal["succeeded", "failed"]
    sentence: str | None


class Worker:
    """Runs jobs in this process."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config

    def start(self) -> WorkerInfo:
        """Imports what the runs need. Raises :class:`SymbenchError` where this process cannot serve the launch."""
        root = self._config.root
        try:
            store = existing_store(root)
            if store is None or not store.has_launch(self._config.launch_id):
                raise SymbenchError(
                    f"The store {root} is not seen: "
                    "put it where all nodes of the cluster see it under the same path (--store)."
                )
            store.try_writing()
        except SymbenchError as error:
            raise SymbenchError(f"On the node {socket.gethostname()}: {error}") from error
        from harness.training.memory import keep_freed_memory

        self._store = store
        _ = self.execute
        keep_freed_memory()
        return worker_info()

    def run(self, jobs: Sequence[Job]) -> list[RunResult]:
        """One ending for each job. Several differ by their seed alone and are trained at once.

        Raises :class:`~harness.training.results.NotStacked` where several have to go one by one.
        """
        from baselines.out_of_memory import free_accelerator

        command = self._config.command
        try:
            if jobs[0].resources.workers > 1:
                from harness.execution.data_parallel import run_data_parallel

                records = [run_data_parallel(jobs[0], self._config, self._store)]
            elif len(jobs) > 1:
                records = run_stack(jobs, self._store, self._tracker, command=command)
            else:
                records = [self.run_job(jobs[0], self.execute)]
        finally:
            free_accelerator()
        return [RunResult(status=one.status, sentence=one.failure.sentence if one.failure else None) for one in records]

    def run_job(self, job: Job, execute: Executor) -> Record:
        """One job, mirrored."""
        return run_job(job, self._store, self._tracker(job), execute=execute, command=self._config.command)

    @cached_property
    def _store(self) -> Store:
        return open_store(self._config.root)

    @cached_property
    def execute(self) -> Executor:
        """What runs a spec in this launch."""
        module, _, name = self._config.executor.partition(":")
        executor: Executor = getattr(importlib.import_module(module), name)
        return executor

    def _tracker(self, job: Job) -> RunTracker | None:
        if self._config.tracker is None:
            return None
        from harness.records.description import describe
        from harness.tracking import RunTracker as MlflowRun

        tracker: RunTracker = MlflowRun(self._config.tracker, job, describe(job.spec))
        return tracker


def worker_info(specs: Iterable[RunSpec] | None = None) -> WorkerInfo:
    """That of this process, with the plug-ins that these runs use (``None``: all that there are)."""
    import tasks

    return WorkerInfo(
        pid=os.getpid(),
        host=socket.gethostname(),
        tasks_file=os.path.realpath(tasks.__file__),
        code=code_digest(),
        plugins=plugin_code() if specs is None else used_by(specs),
    )


def code_mismatch(theirs: WorkerInfo, ours: WorkerInfo) -> str | None:
    """Why the process that greets so must not work for this one: it runs other code. ``None`` where it does not.

    Of plug-ins those in ``ours`` count. On this machine the same files are the same code, also where somebody edits
    them meanwhile.
    """
    if theirs.code != ours.code and (theirs.host, theirs.tasks_file) != (ours.host, ours.tasks_file):
        return _other_code(theirs, ours)
    reasons = (_other_plugin(name, theirs, ours) for name in ours.plugins)
    return next(filter(None, reasons), None)


def _other_code(theirs: WorkerInfo, ours: WorkerInfo) -> str:
    if theirs.host != ours.host:
        return (
            f"The node {theirs.host} has other code in {theirs.tasks_file} than this process in {ours.tasks_file}: "
            "bring all nodes to the same commit, or send the code with 'symbench submit'."
        )
    return (
        f"Workers import the tasks of {theirs.tasks_file} and this process those of {ours.tasks_file}: "
        "start symbench from another folder, or remove the other 'tasks' from the Python path."
    )


def _other_plugin(name: str, theirs: WorkerInfo, ours: WorkerInfo) -> str | None:
    mine, found = ours.plugins[name], theirs.plugins.get(name)
    here = theirs.host == ours.host
    where = "A worker on this machine" if here else f"The node {theirs.host}"
    what_to_do = "install the same package on all nodes, or send it with 'symbench submit'"
    if found is None:
        return f"{where} lacks the plug-in {name} {mine.version}, which the runs use: {what_to_do}."
    if found.same(mine.version, mine.digest) or (here and found.roots == mine.roots):
        return None
    return (
        f"{where} has other code of the plug-in {name} ({found.version}, {found.digest[:12]}) than this process "
        f"({mine.version}, {mine.digest[:12]}): {what_to_do}."
    )
