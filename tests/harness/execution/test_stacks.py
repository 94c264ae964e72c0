"""Which runs may be trained at once."""

from __future__ import annotations

from harness.execution.stacks import stacks
from harness.spec import Job, Resources
from tests.harness.training.small_problems import particles_spec


def job(method: str, seed: int, stack: int = 3, epochs: int = 2, suite: str = "tests", workers: int = 1) -> Job:
    resources = Resources(stack=stack, workers=workers)
    return Job(spec=particles_spec(method, seed, epochs=epochs), suite=suite, resources=resources)


def test_runs_that_differ_by_their_seed_alone_go_together_in_their_order() -> None:
    jobs = [job(method, seed) for seed in range(5) for method in ("egnn", "gnn-ga")]
    found = stacks(jobs)
    assert [[(one.spec.method, one.spec.seed) for one in stack] for stack in found] == [
        [("egnn", 0), ("egnn", 1), ("egnn", 2)],
        [("egnn", 3), ("egnn", 4)],
        [("gnn-ga", 0), ("gnn-ga", 1), ("gnn-ga", 2)],
        [("gnn-ga", 3), ("gnn-ga", 4)],
    ]


def test_nothing_else_goes_together() -> None:
    jobs = [
        job("egnn", 0),
        job("egnn", 1, epochs=3),
        job("egnn", 2, stack=2),
        job("egnn", 3, suite="others"),
        *(job("egnn", seed, stack=1) for seed in (4, 5)),
        *(job("egnn", seed, epochs=0) for seed in (6, 7)),
        *(job("egnn", seed, workers=2) for seed in (8, 9)),
    ]
    assert stacks(jobs) == [(one,) for one in jobs]
