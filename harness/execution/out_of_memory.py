"""A run whose training does not fit into a device's memory starts again with fewer group samples at a time.

Evaluation never brings it here: it goes on where it is (:class:`~baselines.out_of_memory.Chunks`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from baselines.out_of_memory import free_accelerator, is_out_of_memory
from harness.spec import Job, Resources, RunSpec
from harness.training.results import Outcome

_log = logging.getLogger(__name__)


def within_memory(job: Job, execute: Callable[[Resources], Outcome], restart: Callable[[], None]) -> Outcome:
    """What ``execute`` gives with the job's resources, with half the ``chunk`` each time the device is out of memory.

    ``restart`` is called before each further try. Raises the device's error where nothing is left to halve: training
    takes one sample at a time, or the method none.
    """
    resources, asked = job.resources, job.resources.chunk
    while (outcome := _attempt(job.spec, execute, resources)) is None:
        resources = replace(resources, chunk=_samples_at_once(job.spec, resources) // 2)
        _log.warning(
            "run %s: the device is out of memory; it starts again with chunk %d", job.spec.digest, resources.chunk
        )
        free_accelerator()
        restart()
    if resources.chunk == asked:
        return outcome
    note = f"out of memory in training: chunk {resources.chunk} instead of {asked or 'all samples'}"
    return replace(outcome, notes=(*outcome.notes, note))


def _attempt(spec: RunSpec, execute: Callable[[Resources], Outcome], resources: Resources) -> Outcome | None:
    """``None`` where memory is short and fewer samples would take less; by then the error, which holds on to the
    tensors, is gone."""
    try:
        return execute(resources)
    except RuntimeError as error:
        if not is_out_of_memory(error) or _samples_at_once(spec, resources) == 1:
            raise
        return None


def _samples_at_once(spec: RunSpec, resources: Resources) -> int:
    """In a step of training."""
    if not (spec.sampler and spec.settings.epochs):
        return 1
    return min(resources.chunk or spec.settings.train_samples, spec.settings.train_samples)
