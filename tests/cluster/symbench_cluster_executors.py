"""Runs that save their state after every epoch. Workers import this through PYTHONPATH."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.execute import execute
from harness.training.results import Hooks, Outcome

EPOCH_SECONDS = 0.3


def careful(spec: RunSpec, context: RunContext) -> Outcome:
    """The training loop with a checkpoint at the end of each epoch, which takes its time."""
    checkpoint = replace(context.checkpoint, seconds=0.0) if context.checkpoint else None
    return execute(spec, replace(context, hooks=_Slowly(context.hooks), checkpoint=checkpoint))


def full(spec: RunSpec, context: RunContext) -> Outcome:
    """The training loop, in which the memory of the second process's device is full within a collective."""
    gather = torch.distributed.all_gather

    def all_gather(*args: Any, **kwargs: Any) -> Any:
        if context.processes.rank == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 71.00 GiB.")
        return gather(*args, **kwargs)

    torch.distributed.all_gather = all_gather
    try:
        return execute(spec, context)
    finally:
        torch.distributed.all_gather = gather


class _Slowly:
    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._hooks.log(step, values)
        time.sleep(EPOCH_SECONDS)
