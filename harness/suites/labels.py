"""A run in a few words, for progress lines and plans (no torch)."""

from __future__ import annotations

from harness.registry import tasks
from harness.spec import Job, RunSpec
from tasks.settings import as_params


def task_label(spec: RunSpec) -> str:
    """The task with the parameters that differ from its defaults: ``nbody(nodes=8)``."""
    card = tasks().get(spec.task)
    defaults = as_params(card.resolve(card.settings())) if card else {}
    given = [f"{name}={value}" for name, value in spec.task_params.items() if defaults.get(name) != value]
    return f"{spec.task}({', '.join(given)})" if given else spec.task


def label(*jobs: Job) -> str:
    """One run, or several that differ only in their seeds."""
    seeds = ", ".join(str(job.spec.seed) for job in jobs)
    return f"{task_label(jobs[0].spec)} x {jobs[0].spec.method}, {'seed' if len(jobs) == 1 else 'seeds'} {seeds}"
