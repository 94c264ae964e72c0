"""One run on several processes, each with devices of its own, by Ray Train.

Ray Train places the processes, joins them to one process group, and starts all of them anew when one dies; from then
on the run goes on from its checkpoint. The first process writes the record, as a worker that is alone does.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from baselines.out_of_memory import is_out_of_memory
from harness.errors import SymbenchError
from harness.execution.run_job import Executor, raise_device_failure, use
from harness.execution.worker import Worker, WorkerConfig, code_mismatch, worker_info
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job, Resources, RunSpec
from harness.training.device_errors import DeviceFailed, MemoryFull
from harness.training.distributed import PeerLost, ProcessGroup
from harness.training.results import Hooks, NullHooks, Outcome

RESTARTS = 2

_log = logging.getLogger(__name__)


def run_data_parallel(job: Job, config: WorkerConfig, store: Store) -> Record:
    """Trains the run on ``job.resources.workers`` processes and returns its record.

    Raises Ray Train's error where they died more than :data:`RESTARTS` times.
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
            _take_part,
            train_loop_config={"job": job, "config": config},
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
            for said in filter(None, map(_sentence, error.worker_failures.values())):
                raise said from error
            raise
    record = store.read(job.spec.digest)
    assert record is not None, "the first process has returned, so it has written the record"
    return record


def _sentence(failure: BaseException) -> SymbenchError | None:
    """Why a process must not or cannot take part; Ray Train wraps what it raised."""
    said = getattr(failure, "_base_exc", failure)
    if isinstance(said, DeviceFailed | MemoryFull):
        return SymbenchError(str(said))
    return said if isinstance(said, SymbenchError) else None


def _take_part(loop_config: dict[str, Any]) -> None:
    """What each of the processes does."""
    job, processes = loop_config["job"], ProcessGroup.current()
    config: WorkerConfig = loop_config["config"]
    if torch.cuda.is_available() and job.resources.gpus:
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    if config.driver and (reason := code_mismatch(worker_info(), config.driver)):
        raise SymbenchError(reason)
    worker = Worker(config)
    execute = partial(_execute, execute=worker.execute, processes=processes)
    try:
        if processes.rank == 0:
            worker.run_job(job, execute)
        else:
            use(job.resources)
            _follow(job, execute)
    except PeerLost as error:
        raise RuntimeError(str(error)) from error


def _follow(job: Job, execute: Executor) -> None:
    """Takes part without a word. An error that all processes meet is recorded by the first one; where it met none, it
    loses this process, and all begin anew. Raises what this process alone can meet: its memory is full, its device
    failed."""
    try:
        execute(job.spec, resources=job.resources, hooks=NullHooks(), checkpoint=None)
    except Exception as error:
        if isinstance(error, MemoryFull | DeviceFailed):
            raise
        _log.exception("a worker of run %s ends", job.spec.digest)
        torch.distributed.destroy_process_group()


def _execute(
    spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None, execute: Executor,
    processes: ProcessGroup,
) -> Outcome:
    run = cast(Callable[..., Outcome], execute)
    try:
        return run(spec, resources=resources, hooks=hooks, checkpoint=checkpoint, processes=processes)
    except RuntimeError as error:
        if is_out_of_memory(error):  # the others would not know that this one begins again with a smaller chunk
            raise MemoryFull("The device's memory is full: set resources.chunk, or halve it.") from error
        raise_device_failure(error)
        raise
