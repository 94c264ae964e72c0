"""Restarts a run whose training does not fit into the device's memory, with fewer group samples at a time.

An evaluation that does not fit is not restarted: it continues in smaller chunks
(:class:`~baselines.out_of_memory.Chunks`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from baselines.out_of_memory import free_accelerator, is_out_of_memory
from harness.spec import RunSpec
from harness.training.context import Executor, RunContext
from harness.training.results import Outcome

_log = logging.getLogger(__name__)


def within_memory(spec: RunSpec, execute: Executor, context: RunContext, restart: Callable[[], None]) -> Outcome:
    """Computes ``spec``, with half the ``chunk`` each time the device is out of memory.

    Args:
        spec: The run.
        execute: Computes it.
        context: The context of the first attempt.
        restart: Called before each further attempt.

    Returns:
        The outcome, with a note if ``chunk`` was lowered.

    Raises:
        RuntimeError: The device is out of memory although training takes one sample at a time or draws none.
    """
    requested = context.chunk
    while (outcome := _attempt(spec, execute, context)) is None:
        context = replace(context, chunk=_samples_at_once(spec, context) // 2)
        _log.warning("run %s: the device is out of memory; it starts again with chunk %d", spec.digest, context.chunk)
        free_accelerator()
        restart()
    if context.chunk == requested:
        return outcome
    note = f"out of memory in training: chunk {context.chunk} instead of {requested or 'all samples'}"
    return replace(outcome, notes=(*outcome.notes, note))


def _attempt(spec: RunSpec, execute: Executor, context: RunContext) -> Outcome | None:
    """Returns None if memory is short and fewer samples would need less.

    The error, which references the tensors, is released on return.
    """
    try:
        return execute(spec, context)
    except RuntimeError as error:
        if not is_out_of_memory(error) or _samples_at_once(spec, context) == 1:
            raise
        return None


def _samples_at_once(spec: RunSpec, context: RunContext) -> int:
    """In a step of training."""
    if not (spec.sampler and spec.settings.epochs):
        return 1
    return min(context.chunk or spec.settings.train_samples, spec.settings.train_samples)
