"""Runs that save their state after every epoch. Workers import this through PYTHONPATH."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.spec import Resources, RunSpec
from harness.training import execute
from harness.training.distributed import SINGLE_PROCESS, ProcessGroup
from harness.training.fit import Fit
from harness.training.results import Hooks, Outcome

EPOCH_SECONDS = 0.3


def careful(
    spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> Outcome:
    """The training loop with a checkpoint at the end of each epoch, which takes its time."""
    defaults = Fit.__init__.__kwdefaults__
    assert defaults is not None
    defaults["checkpoint_seconds"] = 0.0
    return execute.execute(spec, resources=resources, hooks=_Slowly(hooks), checkpoint=checkpoint, processes=processes)


def full(
    spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> Outcome:
    """The training loop, in which the memory of one process's device is full within a collective."""
    gather = torch.distributed.all_gather

    def all_gather(*args: Any, **kwargs: Any) -> Any:
        if processes.rank == int(spec.base["full"]):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 71.00 GiB.")
        return gather(*args, **kwargs)

    torch.distributed.all_gather = all_gather
    known = replace(spec, base={name: value for name, value in spec.base.items() if name != "full"})
    try:
        return execute.execute(known, resources=resources, hooks=hooks, checkpoint=checkpoint, processes=processes)
    finally:
        torch.distributed.all_gather = gather


class _Slowly:
    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._hooks.log(step, values)
        time.sleep(EPOCH_SECONDS)
