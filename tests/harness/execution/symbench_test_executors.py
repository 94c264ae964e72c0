"""What the runs of the execution tests do instead of training. Workers import this through PYTHONPATH."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch

import tasks
from harness.execution.run_job import run_job
from harness.records.store import Store
from harness.spec import Job, RunSpec
from harness.training.context import RunContext
from harness.training.results import Outcome


def act(spec: RunSpec, context: RunContext) -> Outcome:
    """Does what ``spec.sampler["act"]`` names; ``checkpoint`` remembers that an earlier try came to its middle."""
    assert context.checkpoint is not None
    checkpoint = context.checkpoint.path
    context.hooks.log(0, {"loss": 1.0})
    match spec.sampler["act"]:
        case "die_once" if not checkpoint.exists():
            checkpoint.write_text("half way")
            os.kill(os.getpid(), signal.SIGKILL)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "device_fails_once" if not checkpoint.exists():
            checkpoint.write_text(str(os.getpid()))
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        case "device_fails_once":
            assert checkpoint.read_text() != str(os.getpid()), "the process whose device failed"
        case "write_and_die":
            run_job(Job(spec=spec, suite="tests"), Store(checkpoint.parents[1]), None, execute=nothing)
            os.kill(os.getpid(), signal.SIGKILL)
        case "no_json":
            return Outcome(metrics={"unseparated": object()})  # type: ignore[dict-item]
        case "raise":
            raise ValueError("this run is\nbroken")
        case "sleep":
            time.sleep(spec.sampler["seconds"])
        case "wait_for":
            file, deadline = Path(os.environ["SYMBENCH_TEST_FOLDER"]) / spec.sampler["file"], time.monotonic() + 120.0
            while not file.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
        case "print":
            print("printed by a run")
    checkpoint.unlink(missing_ok=True)
    context.hooks.log(1, {"loss": 0.5})
    path = Path(tasks.__file__)
    return Outcome(
        metrics={"unseparated": 0.0, "pid": os.getpid(), "threads": torch.get_num_threads(), "seed": spec.seed},
        cost={"parameters": 1},
        notes=(str(path.resolve()), os.getcwd(), context.__class__.__module__),
    )


def nothing(spec: RunSpec, context: RunContext) -> Outcome:
    """A run that costs nothing but its record."""
    context.hooks.log(0, {"loss": 1.0})
    return Outcome(metrics={"unseparated": 0.0})
