"""Groups jobs into stacks, which one worker trains together."""

from __future__ import annotations

from collections.abc import Sequence

from harness.spec import Job

Stack = tuple[Job, ...]


def stacks(jobs: Sequence[Job]) -> list[Stack]:
    """Groups up to ``resources.stack`` jobs that differ only by their seed, in the order of their first appearance.

    A run without training is not grouped, since the others would only wait for it, nor is one with several workers.
    """
    families: dict[object, list[Job]] = {}
    for job in jobs:
        stacked = job.resources.stack > 1 and job.resources.workers == 1 and job.spec.settings.epochs > 0
        family = (job.spec.setting, job.resources, job.suite) if stacked else job.spec.digest
        families.setdefault(family, []).append(job)
    return [
        tuple(family[start : start + family[0].resources.stack])
        for family in families.values()
        for start in range(0, len(family), family[0].resources.stack)
    ]
