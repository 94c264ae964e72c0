"""What is decided of workers that die, hang, are strange or are not there, on a Ray that a test plays."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from harness.errors import SymbenchError
from harness.execution import dispatch as dispatching
from harness.execution.dispatch import GRACE_SECONDS, HEAD_SECONDS, MAX_ATTEMPTS, START_FAILURE_SECONDS
from harness.execution.messages import WorkerInfo
from harness.execution.placement import Shape
from harness.execution.run_job import failed_record
from harness.execution.same_code import worker_info
from harness.records.record import Failure
from harness.spec import Job, Resources
from harness.training.device_errors import DeviceFailed
from harness.training.results import NotStacked
from tests.harness.execution.played_ray import (
    FOREVER,
    SUCCEEDED,
    Answer,
    Launch,
    MakeJob,
    PlayedRay,
    dying,
    in_a_stack,
    succeeding,
)


@pytest.fixture
def launch(tmp_path: Path, watcher: Any) -> Launch:
    return Launch(tmp_path, watcher)


@pytest.mark.parametrize("deaths", [0, 1, MAX_ATTEMPTS - 1, MAX_ATTEMPTS, MAX_ATTEMPTS + 5])
def test_a_run_is_tried_three_times_and_no_more(launch: Launch, job: MakeJob, deaths: int) -> None:
    assert MAX_ATTEMPTS == 3
    ray = launch.go(PlayedRay(dying({0: deaths})), [job(seed=0)], slots=1)
    assert len(launch.sent) == min(deaths + 1, MAX_ATTEMPTS)
    [(_, status, sentence)] = launch.ends
    record = launch.store.read(job(seed=0).spec.digest)
    if deaths < MAX_ATTEMPTS:
        assert (status, sentence, record) == ("succeeded", None, None)
    else:
        assert record is not None and record.failure is not None
        assert (status, record.status, record.failure.sentence) == ("failed", "failed", sentence)
        assert sentence == "The run was tried 3 times, and the last time its worker died (killed or out of memory)."
    assert len(ray.actors) == min(deaths, MAX_ATTEMPTS) + (deaths < MAX_ATTEMPTS) and ray.most == 1
    assert len(launch.watcher.notes) == min(deaths, MAX_ATTEMPTS - 1)


def test_what_is_tried_again_goes_before_what_was_not_begun(launch: Launch, job: MakeJob) -> None:
    launch.go(PlayedRay(dying({0: 1, 2: 1})), [job(seed=seed) for seed in range(4)], slots=1)
    assert launch.seeds == [[0], [0], [1], [2], [2], [3]]


def test_a_run_with_a_record_that_succeeded_is_not_tried_again(launch: Launch, job: MakeJob) -> None:
    def write_and_die(jobs: Sequence[Job]) -> Any:
        record = failed_record(jobs[0], Failure(sentence="no"))
        launch.store.write(replace(record, status="succeeded", failure=None), [])
        return ActorDiedError()

    launch.go(PlayedRay(write_and_die), [job(seed=0)])
    assert launch.seeds == [[0]] and launch.ends[0][1] == "succeeded"


def test_a_failed_record_of_before_does_not_stand_for_this_run(launch: Launch, job: MakeJob) -> None:
    launch.store.write(failed_record(job(seed=0), Failure(sentence="of before")), [])
    launch.go(PlayedRay(dying({0: 1})), [job(seed=0)])
    assert launch.seeds == [[0], [0]] and launch.ends[0][1] == "succeeded"


def test_the_deaths_of_a_stack_count_for_each_of_its_runs(launch: Launch, job: MakeJob) -> None:
    jobs = in_a_stack(job, 3)
    launch.go(PlayedRay(dying({0: 9, 1: 1, 2: 1})), jobs, slots=1)
    assert launch.seeds == [[0, 1, 2], [0], [0], [1], [2]]
    assert [(status) for _, status, _ in launch.ends] == ["failed", "succeeded", "succeeded"]


def test_a_stack_that_cannot_be_computed_goes_one_by_one_in_its_order(launch: Launch, job: MakeJob) -> None:
    def work(jobs: Sequence[Job]) -> Any:
        return RayTaskError("run", "trace", NotStacked("they differ")) if len(jobs) > 1 else succeeding(jobs)

    jobs = in_a_stack(job, 3)
    ray = launch.go(PlayedRay(work), jobs, slots=1)
    assert launch.seeds == [[0, 1, 2], [0], [1], [2]]
    assert len(ray.actors) == 1 and "one by one, because they differ" in launch.watcher.notes[0]


def test_what_a_run_raises_past_its_record_is_a_failed_one_and_its_worker_goes_on(launch: Launch, job: MakeJob) -> None:
    def work(jobs: Sequence[Job]) -> Any:
        return RayTaskError("run", "trace", ValueError("odd")) if jobs[0].spec.seed == 0 else succeeding(jobs)

    ray = launch.go(PlayedRay(work), [job(seed=0), job(seed=1)], slots=1)
    assert sorted(status for _, status, _ in launch.ends) == ["failed", "succeeded"]
    assert launch.store.statuses() == {job(seed=0).spec.digest: "failed"} and len(ray.actors) == 1


@pytest.mark.parametrize("failures", [1, MAX_ATTEMPTS - 1, MAX_ATTEMPTS, MAX_ATTEMPTS + 5])
def test_a_worker_whose_device_failed_serves_no_other_run(launch: Launch, job: MakeJob, failures: int) -> None:
    left = {0: failures}

    def work(jobs: Sequence[Job]) -> Any:
        if left.get(jobs[0].spec.seed, 0) == 0:
            return succeeding(jobs)
        left[jobs[0].spec.seed] -= 1
        return RayTaskError("run", "trace", DeviceFailed("CUDA error: unspecified launch failure"))

    ray = launch.go(PlayedRay(work), [job(seed=0), job(seed=1)], slots=1)
    tries = min(failures, MAX_ATTEMPTS)
    assert launch.seeds == [[0]] * (tries + (failures < MAX_ATTEMPTS)) + [[1]]
    assert len(ray.actors) == tries + 1 and ray.most == 1
    assert len(launch.watcher.notes) == min(failures, MAX_ATTEMPTS - 1)
    why = "its device failed (CUDA error: unspecified launch failure)"
    assert all(why in note for note in launch.watcher.notes)
    ends = {digest: (status, sentence) for digest, status, sentence in launch.ends}
    assert ends[job(seed=1).spec.digest] == ("succeeded", None)
    failed = ("failed", f"The run was tried 3 times, and the last time {why}.")
    assert ends[job(seed=0).spec.digest] == (("succeeded", None) if failures < MAX_ATTEMPTS else failed)


def test_the_runs_of_a_stack_whose_device_failed_are_tried_each_for_itself(launch: Launch, job: MakeJob) -> None:
    def work(jobs: Sequence[Job]) -> Any:
        failed = RayTaskError("run", "trace", DeviceFailed("CUDA error: device-side assert triggered"))
        return failed if len(jobs) > 1 else succeeding(jobs)

    ray = launch.go(PlayedRay(work), in_a_stack(job, 3), slots=1)
    assert launch.seeds == [[0, 1, 2], [0], [1], [2]] and len(ray.actors) == 2
    assert {status for _, status, _ in launch.ends} == {"succeeded"}


@pytest.mark.parametrize(("stack", "seconds"), [(1, 10.0), (3, 30.0)])
def test_a_run_is_ended_after_its_own_time_and_a_stack_after_all_of_its_runs(
    launch: Launch, job: MakeJob, stack: int, seconds: float
) -> None:
    jobs = in_a_stack(job, stack, timeout=10.0)
    ray = launch.go(PlayedRay(lambda jobs: FOREVER), jobs)
    assert 0 <= ray.now - 1000.0 - seconds <= dispatching.TICK_SECONDS + dispatching.KILL_SECONDS + 1
    assert {sentence for _, _, sentence in launch.ends} == {
        f"The run took longer than its timeout of {seconds:g} s and was ended."
    }
    assert set(launch.store.statuses().values()) == {"failed"} and len(launch.seeds) == 1


def test_the_time_of_a_run_begins_as_it_is_handed_out(launch: Launch, job: MakeJob) -> None:
    jobs = [job(seed=seed, resources=Resources(timeout=10.0)) for seed in range(5)]
    played = PlayedRay(succeeding)

    def work(jobs: Sequence[Job]) -> Any:
        played.now += 8.0
        return succeeding(jobs)

    played.works = work
    ray = launch.go(played, jobs, slots=1)
    assert {status for _, status, _ in launch.ends} == {"succeeded"} and len(ray.actors) == 1


@pytest.mark.parametrize(("slots", "most"), [(None, 3), (2, 2), (1, 1), (9, 3)])
def test_no_more_workers_than_processors_and_slots(launch: Launch, job: MakeJob, slots: int | None, most: int) -> None:
    ray = PlayedRay(dying(dict.fromkeys(range(12), 1)), nodes=[Shape(0, 1), Shape(0, 2)])
    launch.go(ray, [job(seed=seed) for seed in range(12)], slots=slots)
    assert ray.most == most and {status for _, status, _ in launch.ends} == {"succeeded"}


def test_workers_that_die_as_they_start_end_a_launch_after_a_while(launch: Launch, job: MakeJob) -> None:
    ray = PlayedRay(succeeding)

    def greets() -> Any:
        ray.now += 6.0
        return ActorDiedError()

    ray.greets = greets
    with pytest.raises(SymbenchError, match="Workers die while they start"):
        launch.go(ray, [job(seed=0)], slots=1)
    assert ray.now - 1000.0 > START_FAILURE_SECONDS and len(ray.actors) <= 6


def test_workers_that_die_as_they_start_between_others_that_serve_end_nothing(launch: Launch, job: MakeJob) -> None:
    ray = PlayedRay(dying(dict.fromkeys(range(8), 1)))
    starts = iter(range(1000))

    def greets() -> Any:
        ray.now += 15.0
        return ActorDiedError() if next(starts) % 3 else worker_info()

    ray.greets = greets
    launch.go(ray, [job(seed=seed) for seed in range(8)], slots=1)
    assert {status for _, status, _ in launch.ends} == {"succeeded"}


def test_a_worker_at_work_is_a_hope(launch: Launch, job: MakeJob) -> None:
    ray = PlayedRay(succeeding)
    starts, slow = iter(range(1000)), Answer(FOREVER)

    def greets() -> Any:
        if next(starts) == 0:
            return worker_info()
        ray.now += 10.0
        if ray.now > 1200:
            slow.said = [SUCCEEDED]
        return ActorDiedError() if ray.now < 1300 else worker_info()

    ray.greets = greets
    ray.works = lambda jobs: FOREVER if jobs[0].spec.seed == 0 and ray.now < 1100 else succeeding(jobs)
    get = ray.wait

    def wait(answers: list[Answer], timeout: float, num_returns: int = 1) -> Any:
        for answer in answers if ray.now > 1200 else ():
            answer.said = [SUCCEEDED] if answer.said is FOREVER else answer.said
        return get(answers, timeout, num_returns)

    ray.wait = wait  # type: ignore[method-assign]
    launch.go(ray, [job(seed=0), job(seed=1)], slots=2)
    assert {status for _, status, _ in launch.ends} == {"succeeded"}


def test_a_worker_with_other_code_ends_the_launch(launch: Launch, job: MakeJob) -> None:
    strange = replace(worker_info(), host="another", code="other")
    assert isinstance(strange, WorkerInfo)
    with pytest.raises(SymbenchError, match="The node another has other code"):
        launch.go(PlayedRay(succeeding, greets=lambda: strange), [job(seed=0)])
    assert launch.sent == []


def test_a_worker_that_cannot_serve_ends_the_launch_with_its_sentence(launch: Launch, job: MakeJob) -> None:
    causes = {"On the node x": SymbenchError("On the node x: no store."), "cannot start": ValueError("v")}
    for sentence, cause in causes.items():
        with pytest.raises(SymbenchError, match=sentence):
            launch.go(PlayedRay(succeeding, greets=lambda c=cause: RayTaskError("start", "t", c)), [job(seed=0)])


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_node_that_was_lost_has_a_while_to_come_back(launch: Launch, job: MakeJob, comes_back: bool) -> None:
    """A run waits for the only node with a GPU; others go on."""
    gpu, cpu = job(seed=0, resources=Resources(gpus=1)), job(seed=1)
    ray = PlayedRay(succeeding, nodes=[Shape(1, 1), Shape(0, 1)])
    back = 1000.0 + GRACE_SECONDS / 2

    def greets() -> Any:
        ray.nodes = [Shape(0, 1)]  # lost as the first worker comes up
        return worker_info()

    def work(jobs: Sequence[Job]) -> Any:
        if jobs[0].spec.seed == 0 and len(ray.nodes) == 1:
            ray.now += dispatching.NODES_SECONDS + 1
            return ActorDiedError()
        return succeeding(jobs)

    looked = dispatching._Dispatcher._update_nodes

    def look(self: Any) -> None:
        if comes_back and ray.now > back:
            ray.nodes = [Shape(1, 1), Shape(0, 1)]
            ray.greets = worker_info
        looked(self)

    ray.greets, ray.works = greets, work
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatching._Dispatcher, "_update_nodes", look)
        launch.go(ray, [gpu, cpu])
    ends = {digest: status for digest, status, _ in launch.ends}
    assert ends[cpu.spec.digest] == "succeeded"
    assert ends[gpu.spec.digest] == ("succeeded" if comes_back else "failed")
    if not comes_back:
        assert ray.now - 1000.0 >= GRACE_SECONDS


def test_what_no_node_can_hold_fails_at_once(launch: Launch, job: MakeJob) -> None:
    ray = launch.go(PlayedRay(succeeding), [job(seed=0, resources=Resources(gpus=1)), job(seed=1)])
    assert launch.seeds == [[1]] and ray.now - 1000.0 < 2
    assert "No node has what a run asks for" in str(launch.ends[0][2])


@pytest.mark.parametrize("lasts", [HEAD_SECONDS - 6, HEAD_SECONDS + 12])
def test_a_head_that_is_silent_for_a_moment_is_waited_for(launch: Launch, job: MakeJob, lasts: float) -> None:
    ray = PlayedRay(lambda jobs: FOREVER)
    ray.head = lambda: not 1010.0 < ray.now < 1010.0 + lasts
    heard = ray.wait

    def wait(answers: list[Answer], timeout: float, num_returns: int = 1) -> Any:
        for answer in answers if ray.now > 1010.0 + lasts + 10 else ():
            answer.said = [SUCCEEDED] if answer.said is FOREVER else answer.said
        return heard(answers, timeout, num_returns)

    ray.wait = wait  # type: ignore[method-assign]
    if lasts < HEAD_SECONDS:
        launch.go(ray, [job(seed=0)])
        assert launch.ends[0][1] == "succeeded"
    else:
        with pytest.raises(SymbenchError, match="The head of the Ray cluster does not answer"):
            launch.go(ray, [job(seed=0)])


@pytest.fixture(autouse=True)
def no_real_ray() -> Iterator[None]:
    yield
    import ray

    assert not ray.is_initialized()


def test_the_work_for_each_run_does_not_grow_with_the_runs(tmp_path: Path, watcher: Any, job: MakeJob) -> None:
    def calls(runs: int) -> float:
        """Of Python functions by the dispatcher, for each run."""
        jobs = [job(seed=seed) for seed in range(runs)]
        [job.spec.digest for job in jobs]  # computed once and kept
        counted = 0

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal counted
            counted += event == "call"

        launch, ray = Launch(tmp_path / str(runs), watcher), PlayedRay(succeeding)
        watcher.ends.clear()
        sys.setprofile(count)
        try:
            launch.go(ray, jobs)
        finally:
            sys.setprofile(None)
        return counted / runs

    assert calls(4000) <= 1.25 * calls(200)
