"""Trains a method on a task in this process, without Ray and MLflow."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import registry
from harness.errors import DoesNotFit, SettingsError
from harness.evaluation.scores import Evaluation
from harness.execution.run_job import run_job
from harness.records.opening import open_store
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job, Resources
from harness.suites.plan import refuse_secrets
from harness.suites.run_validation import unworkable
from harness.trained.loading import EVALUATED
from tasks.limits import SEED

Params = Mapping[str, Any] | None

_log = logging.getLogger(__name__)


def evaluate(
    method: str,
    task: str,
    *,
    seeds: int | Sequence[int] = 5,
    protocol: str | None = None,
    settings: Params = None,
    task_params: Params = None,
    base: Params = None,
    sampler: Params = None,
    store: str | Path | None = None,
    device: str = "cpu",
    keep_weights: bool = False,
) -> Evaluation:
    """Trains a method on a task with several seeds in this process; the numbers are those of ``symbench run``.

    Args:
        method: The name of a method.
        task: The name of a task.
        seeds: The seeds, or their number, counted from 0.
        protocol: A protocol of the task (``None``: ``quick``, or the first one of the task if it has no ``quick``).
        settings: Settings of training that differ from the protocol.
        task_params: Parameters of the task that differ from the defaults.
        base: Parameters of the base model that differ from the defaults.
        sampler: Parameters of the sampler that differ from the defaults.
        store: A store for the records, as a folder or an address. A seed that has succeeded there is not run again, so
            that an interrupted call can be repeated. ``None`` keeps the records in the result only.
        device: ``cpu`` or ``cuda``.
        keep_weights: Keeps the weights in the store, for :func:`symbench.load`.

    Returns:
        The records of all seeds. A seed that failed has a failed record, and a warning is logged.

    Raises:
        SymbenchError: A name or a setting is wrong, the method does not fit the task, or the store cannot be used.
        KeyboardInterrupt: It was interrupted; the seeds that have ended are in the store.

    Example:
        >>> import symbench
        >>> small, data = {"epochs": 1, "curve_size": 4}, {"train": 16, "validation": 8, "test": 8}
        >>> found = symbench.evaluate("egnn", "nbody", seeds=2, settings=small, task_params=data)
        >>> found.frame.select("seed", "status").rows()
        [(0, 'succeeded'), (1, 'succeeded')]
        >>> found.mean == found.frame["mse"].mean()
        True
    """
    if keep_weights and store is None:
        raise SettingsError("Weights are kept in a store: name one with store=...")
    chosen = {"settings": settings, "task_params": task_params, "base": base, "sampler": sampler}
    return _run(_jobs(method, task, protocol, _seeds(seeds), chosen, _resources(device, keep_weights)), store)


def _resources(device: str, keep_weights: bool) -> Resources:
    """The resources of this process: all threads that torch uses now, and one device."""
    import torch

    if device not in ("cpu", "cuda"):
        raise SettingsError(f"There is no device '{device}': take cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("torch sees no GPU: install a CUDA build, or take device='cpu'.")
    return Resources(cpus=float(torch.get_num_threads()), gpus=float(device == "cuda"), keep_weights=keep_weights)


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    found = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not found or len(set(found)) < len(found) or any(map(SEED.wrong, found)):
        raise SettingsError(f"seeds should be a number from 1 or different whole numbers from 0, not {seeds!r}.")
    return found


def _jobs(
    method: str,
    task: str,
    protocol: str | None,
    seeds: Sequence[int],
    choices: Mapping[str, Params],
    resources: Resources,
) -> list[Job]:
    """The runs, after all checks that are possible before training."""
    chosen = {section: values or {} for section, values in choices.items()}
    task_card, method_card = registry.task(task), registry.method(method)
    name = protocol or ("quick" if "quick" in task_card.protocols else next(iter(task_card.protocols)))
    if reason := method_card.misfit(task_card, registry.resolved_task(task_card, chosen["task_params"])):
        raise DoesNotFit(f"{method_card.name} does not fit {task_card.name}: {reason}.")
    specs = [registry.resolve(task_card.name, method_card.name, name, seed, **chosen) for seed in seeds]
    if reason := unworkable(specs[0], task_card, chosen["settings"], resources):
        raise SettingsError(f"{task_card.name} x {method_card.name} cannot be run with these settings: {reason}.")
    jobs = [Job(spec=spec, suite=EVALUATED, resources=resources) for spec in specs]
    refuse_secrets(jobs)
    registry.check_implementations(specs)
    return jobs


def _run(jobs: Sequence[Job], place: str | Path | None) -> Evaluation:
    if place is None:
        with tempfile.TemporaryDirectory(prefix="symbench-") as folder:
            return Evaluation([_record(job, Store(Path(folder))) for job in jobs])
    store = open_store(place)
    with store.lock():
        return Evaluation([_record(job, store) for job in jobs])


def _record(job: Job, store: Store) -> Record:
    record = store.read(job.spec.digest)
    if record is None or record.failure is not None:
        record = run_job(job, store, None)
    if record.failure is not None:
        _log.warning("Seed %d failed: %s", job.spec.seed, record.failure.sentence)
    return record
