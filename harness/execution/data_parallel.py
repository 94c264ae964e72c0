"""One run on several processes, each with its own device, by Ray Train.

Ray Train places the processes, joins them to one process group and restarts all of them if one dies; the run then
resumes from its checkpoint. The first process writes the record.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from typing import Any

import torch

from baselines.out_of_memory import is_out_of_memory
from harness import registry
from harness.errors import ClusterError, SymbenchError
from harness.execution.job_runner import JobRunner
from harness.execution.messages import WorkerConfig
from harness.execution.run_job import raise_device_failure, use
from harness.execution.same_code import code_mismatch, worker_info
from harness.records.record import Record
from harness.spec import Job, RunSpec
from harness.training.context import Executor, RunContext
from harness.training.device_errors import DeviceFailed, MemoryFull
from harness.training.distributed import PeerLost, ProcessGroup
from harness.training.results import Outcome

RESTARTS = 2

_log = logging.getLogger(__name__)


def run_data_parallel(job: Job, runner: JobRunner) -> Record:
    """Trains the run on ``job.resources.workers`` processes and returns its record.

    Raises:
        ClusterError: A process runs other code than the driver, or its device failed or is out of memory.
        WorkerGroupError: The processes died more than :data:`RESTARTS` times.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
    from ray.train.torch import TorchConfig, TorchTrainer

    resources = job.resources
    each = {"CPU": resources.cpus} | ({"GPU": resources.gpus} if resources.gpus else {})
    if resources.memory:
        each["memory"] = float(resources.memory)
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="symbench-train-") as folder:
        trainer = TorchTrainer(
            _train_loop,
            train_loop_config={"job": job, "config": runner.config},
            torch_config=TorchConfig(backend="nccl" if resources.gpus else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=resources.workers, use_gpu=resources.gpus > 0, resources_per_worker=each
            ),
            run_config=RunConfig(
                name=job.spec.digest, storage_path=folder, failure_config=FailureConfig(max_failures=RESTARTS)
            ),
        )
        try:
            trainer.fit()
        except WorkerGroupError as error:
            for reason in filter(None, map(_reason, error.worker_failures.values())):
                raise reason from error
            raise
    record = runner.store.read(job.spec.digest)
    assert record is not None, "the first process has returned, so it has written the record"
    return record


def _reason(failure: BaseException) -> SymbenchError | None:
    """The error of a process that cannot take part, without the wrapper of Ray Train; None for other failures."""
    error = getattr(failure, "_base_exc", failure)
    if isinstance(error, DeviceFailed | MemoryFull):
        return ClusterError(str(error))
    return error if isinstance(error, SymbenchError) else None


def _train_loop(loop_config: dict[str, Any]) -> None:
    """The function that Ray Train runs in each process."""
    job, processes = loop_config["job"], ProcessGroup.current()
    config: WorkerConfig = loop_config["config"]
    registry.add_files(config.plugin_files)
    if torch.cuda.is_available() and job.resources.gpus:
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    if config.driver and (reason := code_mismatch(worker_info(), config.driver)):
        raise ClusterError(reason)
    runner = JobRunner(config)

    def execute(spec: RunSpec, context: RunContext) -> Outcome:
        return _execute(spec, replace(context, processes=processes), runner.executor)

    try:
        if processes.rank == 0:
            runner.run(job, execute)
        else:
            use(job.resources)
            _follow(job, execute)
    except PeerLost as error:
        raise RuntimeError(str(error)) from error


def _follow(job: Job, execute: Executor) -> None:
    """Trains without writing a record.

    An error that all processes meet is recorded by the first one; if the first one did not meet it, it loses its
    connection to this process and all are restarted. Raises only the errors of this process's own device.
    """
    try:
        execute(job.spec, RunContext.of(job.spec, job.resources))
    except Exception as error:
        if isinstance(error, MemoryFull | DeviceFailed):
            raise
        _log.exception("a worker of run %s ends", job.spec.digest)
        torch.distributed.destroy_process_group()


def _execute(spec: RunSpec, context: RunContext, execute: Executor) -> Outcome:
    try:
        return execute(spec, context)
    except RuntimeError as error:
        if is_out_of_memory(error):  # no restart with a smaller chunk, which the other processes would not follow
            raise MemoryFull("The device's memory is full: set resources.chunk, or halve it.") from error
        raise_device_failure(error)
        raise
