"""Where and how a run is computed: one object for all that is not part of its spec."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from pathlib import Path

import torch

from harness.spec import Resources, RunSpec
from harness.training.checkpoint import Checkpoint
from harness.training.device import DTYPES, device_for
from harness.training.distributed import SINGLE_PROCESS, ProcessGroup
from harness.training.results import Hooks, NullHooks, Outcome

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The device, hooks and other circumstances of a run. Its numbers depend on the device and dtype only.

    Attributes:
        device: The device of weights and data.
        dtype: The type of weights and data.
        hooks: They receive the metrics of each step.
        chunk: How many group samples are processed at a time (``None``: all).
        checkpoint: Where the state is saved and resumed from (``None``: nowhere).
        processes: The processes that train the run together.
        keep_weights: Whether the outcome has the weights that were scored.
    """

    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    hooks: Hooks = field(default_factory=NullHooks)
    chunk: int | None = None
    checkpoint: Checkpoint | None = None
    processes: ProcessGroup = SINGLE_PROCESS
    keep_weights: bool = False

    @staticmethod
    def of(
        spec: RunSpec,
        resources: Resources | None = None,
        *,
        hooks: Hooks | None = None,
        checkpoint: Path | None = None,
    ) -> RunContext:
        """Returns the context of ``spec`` in one process with these ``resources`` (``None``: one CPU).

        Raises:
            RuntimeError: ``resources`` has a GPU and torch sees none.
        """
        resources = resources or Resources()
        return RunContext(
            device=device_for(resources.gpus),
            dtype=DTYPES[spec.settings.precision],
            hooks=hooks or NullHooks(),
            chunk=resources.chunk,
            checkpoint=Checkpoint(checkpoint, spec.digest) if checkpoint else None,
            keep_weights=resources.keep_weights,
        )


class Executor(typing.Protocol):
    """Runs one spec in this process; the default is :func:`harness.training.execute.execute`."""

    def __call__(self, spec: RunSpec, context: RunContext) -> Outcome: ...
