"""Runs that keep their weights, a second each."""

from __future__ import annotations

from typing import Any

from harness.execution.run_job import run_job, run_stack
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job, Resources
from tests.harness.training.small_problems import particles_spec


def kept_job(method: str, seed: int = 0, resources: Resources | None = None, **settings: Any) -> Job:
    spec = particles_spec(method, seed, **{"epochs": 2, "curve_samples": [1], **settings})
    return Job(spec=spec, suite="tests", resources=resources or Resources(keep_weights=True))


def trained(store: Store, method: str = "egnn", **settings: Any) -> Record:
    record = run_job(kept_job(method, **settings), store, None)
    assert record.failure is None and record.weights is not None
    return record


def trained_in_a_stack(store: Store, method: str, seeds: int) -> list[Record]:
    resources = Resources(keep_weights=True, stack=seeds)
    return run_stack([kept_job(method, seed, resources) for seed in range(seeds)], store, lambda job: None)
