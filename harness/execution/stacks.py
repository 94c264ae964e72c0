"""Which jobs go to a worker together: those that its suite lets be trained at once."""

from __future__ import annotations

from collections.abc import Sequence

from harness.spec import Job

Stack = tuple[Job, ...]


def stacks(jobs: Sequence[Job]) -> list[Stack]:
    """The jobs in the order in which they first appear, up to ``resources.stack`` that differ by their seed together.

    A run that trains nothing goes alone, since others would only wait for it, and so does one that has several workers.
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
