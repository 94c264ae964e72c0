"""A run that does not fit into an accelerator's memory takes fewer group samples at a time, and goes on."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from dataclasses import replace

import torch

from harness.spec import Job, Resources
from harness.training.outcome import Outcome
from tasks.protocol import Protocol

_log = logging.getLogger(__name__)


def within_memory(job: Job, execute: Callable[[Resources], Outcome], restart: Callable[[], None]) -> Outcome:
    """What ``execute`` gives with the job's resources, their ``chunk`` halved each time memory is full.

    ``restart`` is called before each further try. Raises :class:`torch.OutOfMemoryError` where one sample at a time is
    still too much.
    """
    resources, asked = job.resources, job.resources.chunk
    while (outcome := _attempt(execute, resources)) is None:
        chunk = (resources.chunk or _most_samples(job.spec.settings)) // 2
        resources = replace(resources, chunk=chunk)
        _log.warning("run %s: the device's memory is full; it goes on with chunk %d", job.spec.digest, chunk)
        free_accelerator()
        restart()
    if resources.chunk == asked:
        return outcome
    note = f"memory was full: {resources.chunk} group samples at a time instead of {asked or 'all'}"
    return replace(outcome, notes=(*outcome.notes, note))


def free_accelerator() -> None:
    """Gives back the memory that torch keeps for later: another worker may share the device."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def _attempt(execute: Callable[[Resources], Outcome], resources: Resources) -> Outcome | None:
    """``None`` where memory is full; by then the error, which holds on to the tensors, is gone."""
    try:
        return execute(resources)
    except torch.OutOfMemoryError:
        if resources.chunk == 1:
            raise
        return None


def _most_samples(settings: Protocol) -> int:
    """More than this a run never takes at once; at least two, so that it can be halved."""
    counts = (settings.train_samples, settings.valid_samples, settings.test_samples)
    return max(2, *counts, *settings.curve_samples, *settings.variance_samples)
