"""A Ray that a test plays: what its workers say, how many there are, and how time goes by, for the dispatcher alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from harness.execution import dispatch as dispatching
from harness.execution.dispatch import dispatch
from harness.execution.messages import RunResult, WorkerConfig
from harness.execution.placement import Shape
from harness.execution.same_code import worker_info
from harness.records.store import Store
from harness.spec import Job, Resources
from tasks.protocol import Protocol

MakeJob = Callable[..., Job]
SUCCEEDED = RunResult(status="succeeded", sentence=None)
FOREVER = object()
"""What a worker says that never answers."""


@dataclass(eq=False)
class Answer:
    said: Any


@dataclass(eq=False)
class Actor:
    ray: PlayedRay
    alive: bool = True

    @property
    def start(self) -> Any:
        return Method(lambda: self.ray.greets())

    @property
    def run(self) -> Any:
        return Method(lambda jobs: self.ray.works(jobs))


@dataclass
class Method:
    answer: Callable[..., Any]

    def remote(self, *words: Any) -> Answer:
        return Answer(self.answer(*words))


@dataclass
class Starter:
    ray: PlayedRay

    def remote(self, config: Any) -> Actor:
        return self.ray.start()


@dataclass
class PlayedRay:
    """As much of Ray as the dispatcher uses. Each wait for nothing takes a second of the played time."""

    works: Callable[[Sequence[Job]], Any]
    greets: Callable[[], Any] = worker_info
    nodes: list[Shape] = field(default_factory=lambda: [Shape(0, 2)])
    head: Callable[[], bool] = lambda: True
    now: float = 1000.0
    actors: list[Actor] = field(default_factory=list)
    most: int = 0
    waits: int = 0
    most_waits: int = 5000

    def put(self, value: Any) -> Any:
        return value

    def remote(self, kind: type) -> Any:
        return self

    def options(self, **resources: Any) -> Any:
        assert resources["max_restarts"] == resources["max_task_retries"] == 0
        return Starter(self)

    def start(self) -> Actor:
        self.actors.append(Actor(self))
        self.most = max(self.most, sum(actor.alive for actor in self.actors))
        return self.actors[-1]

    def wait(self, answers: list[Answer], timeout: float, num_returns: int = 1) -> tuple[list[Answer], list[Answer]]:
        self.waits += 1
        assert self.waits < self.most_waits, "the launch never ends"
        ready = [answer for answer in answers if answer.said is not FOREVER]
        self.now += 0.0 if ready else timeout
        return ready[:num_returns], ready[num_returns:]

    def get(self, answer: Answer) -> Any:
        if isinstance(answer.said, BaseException):
            raise answer.said
        return answer.said

    def kill(self, actor: Actor) -> None:
        actor.alive = False


class Launch:
    """A dispatch with all that it says. A launch that succeeds leaves the records that its workers would write."""

    def __init__(self, root: Path, watcher: Any) -> None:
        self.store, self.watcher = Store(root), watcher
        self.sent: list[list[Job]] = []
        self.ends: list[tuple[str, str, str | None]] = []

    def go(self, ray: PlayedRay, jobs: list[Job], slots: int | None = None) -> PlayedRay:
        works = ray.works

        def remembered(jobs: Sequence[Job]) -> Any:
            self.sent.append(list(jobs))
            return works(jobs)

        ray.works = remembered
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dispatching, "ray", ray)
            patch.setattr(dispatching, "living_nodes", lambda: list(ray.nodes))
            patch.setattr(dispatching, "head_answers", lambda: ray.head())
            patch.setattr(dispatching.time, "monotonic", lambda: ray.now)
            patch.setattr(dispatching.time, "sleep", lambda seconds: ray.wait([], seconds))
            config = WorkerConfig(root=self.store.root, launch_id="one", executor="x:y", command=["symbench"])
            try:
                dispatch(jobs, self.store, config, self.watcher, slots=slots, on_end=self._end)
            finally:
                assert not any(actor.alive for actor in ray.actors)
        assert sorted(self.ends) == sorted(self.watcher.ends)
        assert sorted(digest for digest, _, _ in self.ends) == sorted({job.spec.digest for job in jobs})
        return ray

    def _end(self, digest: str, status: str, sentence: str | None) -> None:
        self.ends.append((digest, status, sentence))

    @property
    def seeds(self) -> list[list[int]]:
        return [[job.spec.seed for job in jobs] for jobs in self.sent]


def in_a_stack(job: MakeJob, count: int, **resources: Any) -> list[Job]:
    """Runs that may be trained at once."""
    made = [job(seed=seed, resources=Resources(stack=count, **resources)) for seed in range(count)]
    return [replace(one, spec=replace(one.spec, settings=Protocol(epochs=3))) for one in made]


def succeeding(jobs: Sequence[Job]) -> list[RunResult]:
    return [SUCCEEDED] * len(jobs)


def dying(times: dict[int, int], then: Callable[[Sequence[Job]], Any] = succeeding) -> Callable[[Sequence[Job]], Any]:
    """Workers that die of a seed so many times."""
    left = dict(times)

    def work(jobs: Sequence[Job]) -> Any:
        for job in jobs:
            if left.get(job.spec.seed, 0) > 0:
                for one in jobs:
                    left[one.spec.seed] = left.get(one.spec.seed, 0) - 1
                return ActorDiedError()
        return then(jobs)

    return work
