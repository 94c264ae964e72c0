"""When the dispatcher starts a worker, with what, and when it gives one up, on a Ray that a test plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from harness.errors import SymbenchError
from harness.execution.dispatch import GRACE_SECONDS, HEAD_SECONDS, NODES_SECONDS, START_SECONDS
from harness.execution.placement import Shape
from harness.execution.same_code import worker_info
from harness.spec import Job, Resources
from tests.harness.execution.played_ray import (
    FOREVER,
    SUCCEEDED,
    Actor,
    Answer,
    Launch,
    MakeJob,
    PlayedRay,
    dying,
    in_a_stack,
    succeeding,
)

GIB = 1024**3


@pytest.fixture
def launch(tmp_path: Path, watcher: Any) -> Launch:
    return Launch(tmp_path, watcher)


class TimedRay(PlayedRay):
    """``happens`` receives the time before each wait. Notes what was asked for at which time."""

    def __init__(
        self, works: Callable[[Sequence[Job]], Any], happens: Callable[[TimedRay], None] = lambda ray: None
    ) -> None:
        super().__init__(works)
        self.happens = happens
        self.asked: list[tuple[float, dict[str, Any]]] = []
        self.awaited: list[Answer] = []

    def options(self, **resources: Any) -> Any:
        self.asked.append((self.now - 1000.0, resources))
        return super().options(**resources)

    def start(self) -> Actor:
        assert self.head(), "nothing can be started while the head is silent"
        return super().start()

    def wait(self, answers: list[Answer], timeout: float, num_returns: int = 1) -> tuple[list[Answer], list[Answer]]:
        self.awaited = answers
        self.happens(self)
        return super().wait(answers, timeout, num_returns)

    def answer(self, said: Any) -> None:
        """What was silent until now says this."""
        for one in self.awaited:
            one.said = said if one.said is FOREVER else one.said


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        (Resources(cpus=2), {"num_cpus": 2, "num_gpus": 0}),
        (Resources(cpus=0.5, gpus=0.25), {"num_cpus": 0.5, "num_gpus": 0.25}),
        (Resources(gpus=1, memory=3 * GIB), {"num_cpus": 1, "num_gpus": 1, "memory": 3 * GIB}),
        (Resources(gpus=1, workers=2), {"num_cpus": 0}),  # its processes take them
    ],
)
def test_a_worker_is_granted_what_its_runs_ask_for(
    launch: Launch, job: MakeJob, resources: Resources, asked: dict[str, Any]
) -> None:
    ray = TimedRay(succeeding)
    ray.nodes = [Shape(4, 8, 64.0 * GIB)]
    launch.go(ray, [job(resources=resources)])
    [(_, granted)] = ray.asked
    assert granted == {**asked, "max_restarts": 0, "max_task_retries": 0}


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_no_more_workers_are_started_than_there_are_runs(launch: Launch, job: MakeJob, runs: int) -> None:
    ray = TimedRay(succeeding)
    ray.nodes = [Shape(0, 8)]
    launch.go(ray, [job(seed=seed) for seed in range(runs)])
    assert len(ray.actors) == runs


def test_a_run_begins_once_a_try_also_in_a_stack(launch: Launch, job: MakeJob) -> None:
    jobs = in_a_stack(job, 3)
    launch.go(TimedRay(dying({0: 1, 1: 1, 2: 1})), jobs, slots=1)
    assert launch.watcher.starts == {one.spec.digest: 2 for one in jobs}


def test_a_worker_without_work_makes_room_for_runs_of_another_shape(launch: Launch, job: MakeJob) -> None:
    ray = TimedRay(succeeding)
    shapes = [Resources(cpus=1), Resources(cpus=2), Resources(cpus=1, memory=GIB), Resources(cpus=1)]
    ray.nodes = [Shape(0, 2, 8.0 * GIB)]
    launch.go(ray, [job(seed=seed, resources=resources) for seed, resources in enumerate(shapes)], slots=1)
    assert ray.most == 1 and {status for _, status, _ in launch.ends} == {"succeeded"}
    assert len(ray.actors) == 3  # the two runs of the first shape share a worker


def test_a_worker_that_hangs_is_ended_before_another_takes_its_place(launch: Launch, job: MakeJob) -> None:
    def work(jobs: Sequence[Job]) -> Any:
        if jobs[0].spec.seed == 0:
            return FOREVER
        assert [actor.alive for actor in ray.actors] == [False, True]
        return succeeding(jobs)

    ray = TimedRay(work)
    launch.go(ray, [job(seed=seed, resources=Resources(timeout=10.0)) for seed in range(3)], slots=1)
    assert [status for _, status, _ in launch.ends] == ["failed", "succeeded", "succeeded"]


def test_a_worker_that_does_not_come_is_asked_for_again_each_time_later(launch: Launch, job: MakeJob) -> None:
    """And as soon as before once one has come."""
    replies = iter([FOREVER, FOREVER, worker_info(), FOREVER, worker_info()])
    ray = TimedRay(dying({0: 1}))
    ray.greets = lambda: next(replies)
    launch.go(ray, [job(seed=0)], slots=1)
    times = [time for time, _ in ray.asked]
    waits = [later - earlier for earlier, later in pairwise(times)]
    slack = NODES_SECONDS + 2
    for wait, least in zip(waits, (START_SECONDS, 2 * START_SECONDS, 0.0, START_SECONDS), strict=True):
        assert least <= wait <= least + slack


def test_each_loss_of_a_node_has_a_while_of_its_own(launch: Launch, job: MakeJob) -> None:
    """Twice it is gone for half of the grace, and back in between."""
    half = GRACE_SECONDS / 2
    gone = ((10, 10 + half), (10 + half + 12, 22 + 2 * half + 6))

    def happens(ray: TimedRay) -> None:
        now = ray.now - 1000.0
        ray.nodes = [Shape(0, 1), *([] if any(begin < now < end for begin, end in gone) else [Shape(1, 1)])]
        if now > gone[1][1] + 10:
            ray.answer(worker_info())

    ray = TimedRay(succeeding, happens)
    ray.nodes = [Shape(1, 1)]
    ray.greets = lambda: FOREVER
    launch.go(ray, [job(resources=Resources(gpus=1))])
    assert ray.now - 1000.0 > 10 + GRACE_SECONDS and launch.ends[0][1] == "succeeded"


def test_a_launch_whose_store_another_has_taken_ends(launch: Launch, job: MakeJob) -> None:
    checks = iter(range(100))

    def check_lock() -> None:
        if next(checks) == 5:
            raise SymbenchError("Another launch has taken the store.")

    launch.store.check_lock = check_lock  # type: ignore[method-assign]
    ray = TimedRay(lambda jobs: FOREVER)
    with pytest.raises(SymbenchError, match="has taken the store"):
        launch.go(ray, [job()])
    assert not any(actor.alive for actor in ray.actors)


def test_nothing_is_started_before_the_head_answers(launch: Launch, job: MakeJob) -> None:
    ray = TimedRay(succeeding)
    ray.head = lambda: ray.now > 1008.0
    launch.go(ray, [job()])
    assert launch.ends[0][1] == "succeeded" and ray.asked[0][0] >= 8.0


def test_after_a_silence_of_the_head_all_goes_on_and_the_next_one_counts_anew(launch: Launch, job: MakeJob) -> None:
    silent = HEAD_SECONDS - 6

    def happens(ray: TimedRay) -> None:
        if ray.now > 1040:
            ray.answer(ActorDiedError() if len(ray.actors) == 1 else [SUCCEEDED] if ray.now > 1100 else FOREVER)

    ray = TimedRay(lambda jobs: FOREVER, happens)
    ray.head = lambda: not any(begin < ray.now < begin + silent for begin in (1010.0, 1060.0))
    launch.go(ray, [job()])
    assert launch.ends[0][1] == "succeeded" and len(ray.actors) == 2
