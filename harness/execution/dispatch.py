"""Sends jobs to long-lived Ray actors, each of which runs one job or one stack at a time, until all have records.

Ray's own retries are off: the dispatcher replaces a dead worker, tries its job again, and records a job as failed that
cannot succeed. A worker runs many jobs of one resource shape, so that it imports torch only once.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import PlacementGroupID
from ray.exceptions import RayError, RayTaskError
from ray.util.placement_group import PlacementGroup

from harness.errors import ClusterError, SymbenchError
from harness.execution.cluster import head_answers, living_nodes
from harness.execution.messages import RunResult, WorkerConfig, WorkerInfo
from harness.execution.placement import Shape, fits, misfit, most_at_once
from harness.execution.progress import Progress
from harness.execution.run_job import failed_record, sentence_of
from harness.execution.same_code import code_mismatch, worker_info
from harness.execution.stacks import Stack, stacks
from harness.execution.worker import Worker
from harness.records.record import Failure, Status
from harness.records.store import Store
from harness.spec import Job
from harness.suites.labels import label
from harness.training.device_errors import DeviceFailed
from harness.training.results import NotStacked

MAX_ATTEMPTS = 3
MAX_START_FAILURES = 3
# Ray notices a dead node after 15 s; until then workers may be started on it.
START_FAILURE_SECONDS = 20.0
TICK_SECONDS = 1.0
NODES_SECONDS = 5.0
HEAD_SECONDS = 15.0
GRACE_SECONDS = 60.0
WAITING_NOTE_SECONDS = 30.0
# Ray can lose the reply that grants a worker: such an actor never gives an answer or an error.
START_SECONDS = 120.0
KILL_SECONDS = 10.0


@dataclass(eq=False)
class _Attempt:
    """Jobs for one worker, and the number of workers that were lost while they ran them."""

    jobs: Stack
    losses: int = 0

    @property
    def timeout(self) -> float | None:
        """The timeout of all jobs in seconds, in case they run one after another."""
        each = self.jobs[0].resources.timeout
        return None if each is None else each * len(self.jobs)

    def split(self) -> list[_Attempt]:
        """One attempt for each job."""
        return [_Attempt((job,), self.losses) for job in self.jobs]


@dataclass(eq=False)
class _Slot:
    """One actor. It has a pending ``answer`` while it starts (without ``work``) and while it runs jobs."""

    actor: Any
    shape: Shape
    answer: Any
    since: float
    work: _Attempt | None = None

    @property
    def starting(self) -> bool:
        return self.answer is not None and self.work is None

    @property
    def idle(self) -> bool:
        return self.answer is None

    def late(self, seconds: float) -> bool:
        """Whether it has been starting for longer than ``seconds``."""
        return self.starting and time.monotonic() - self.since > seconds

    @property
    def timed_out(self) -> bool:
        timeout = self.work.timeout if self.work else None
        return timeout is not None and time.monotonic() - self.since > timeout


def dispatch(
    jobs: Sequence[Job],
    store: Store,
    config: WorkerConfig,
    progress: Progress,
    *,
    slots: int | None = None,
    on_end: Callable[[str, Status, str | None], None],
) -> None:
    """Runs every job on the connected Ray cluster. No actor is left when it returns or raises.

    Args:
        jobs: The jobs, of different digests.
        store: The store of their records.
        config: The configuration of the workers.
        progress: Is notified of starts and ends.
        slots: The largest number of workers (``None``: one for each CPU).
        on_end: Called once for each digest, with the status and the reason of a failure.

    Raises:
        ClusterError: No worker can start, a failure cannot be recorded, or another launch has taken the store. The
            finished runs have their records.
    """
    dispatcher = _Dispatcher(store, config, progress, slots, on_end)
    try:
        dispatcher.run(jobs)
    finally:
        dispatcher.release_all()


class _Dispatcher:
    def __init__(
        self,
        store: Store,
        config: WorkerConfig,
        progress: Progress,
        slots: int | None,
        on_end: Callable[[str, Status, str | None], None],
    ) -> None:
        self._store, self._progress, self._slots_limit, self._on_end = store, progress, slots, on_end
        self._config, self._driver = ray.put(config), config.driver or worker_info()
        self._pending: dict[Shape, deque[_Attempt]] = {}
        self._slots: list[_Slot] = []
        self._start_failures: list[float] = []
        self._waiting_noted = False
        self._start_seconds = START_SECONDS
        self._missing_since: dict[Shape, float] = {}
        self._unreleased = False
        self._nodes: list[Shape] = []
        self._nodes_checked = float("-inf")
        self._silent_since: float | None = None

    def run(self, jobs: Sequence[Job]) -> None:
        for stack in stacks(jobs):
            self._pending.setdefault(Shape.of(stack[0].resources), deque()).append(_Attempt(stack))
        self._update_nodes()
        self._fail_misfits(grace=0.0)
        while any(self._pending.values()) or any(slot.work for slot in self._slots):
            self._store.check_lock()
            self._fill()
            self._collect()
            self._end_timed_out()
            if time.monotonic() - self._nodes_checked > NODES_SECONDS and self._head_answers():
                self._update_nodes()
                self._fail_misfits(grace=GRACE_SECONDS)
                self._note_waiting()
                self._restart_late_workers()

    def release_all(self) -> None:
        for slot in list(self._slots):
            self._release(slot)

    # Nodes

    def _head_answers(self) -> bool:
        """Raises :class:`ClusterError` if it has not answered for a while: no worker can be started without it."""
        now = time.monotonic()
        if head_answers():
            self._silent_since = None
        else:
            self._silent_since = self._silent_since or now
            if now - self._silent_since > HEAD_SECONDS:
                raise ClusterError(
                    "The head of the Ray cluster does not answer any more: start the cluster again and give the same "
                    "command, which runs the rest."
                )
        return self._silent_since is None

    def _update_nodes(self) -> None:
        self._nodes_checked = time.monotonic()
        self._nodes = living_nodes()

    def _fail_misfits(self, grace: float) -> None:
        """Fails the jobs that fit on no node, after ``grace`` seconds in which a lost node may come back."""
        now = time.monotonic()
        for shape, queue in self._pending.items():
            sentence = misfit(shape, self._nodes)
            if sentence is None:
                self._missing_since.pop(shape, None)
            elif now - self._missing_since.setdefault(shape, now) >= grace:
                while queue:
                    self._fail(queue.popleft(), Failure(sentence=sentence))

    def _note_waiting(self) -> None:
        if any(slot.late(WAITING_NOTE_SECONDS) for slot in self._slots) and not self._waiting_noted:
            self._waiting_noted = True
            self._progress.note("Waiting for the cluster to start a worker: other work may be using its resources.")

    def _restart_late_workers(self) -> None:
        """Replaces workers that do not start, with twice the time limit for the next ones: the start may be slow."""
        late = [slot for slot in self._slots if slot.late(self._start_seconds)]
        for slot in late:
            self._release(slot)
        if late:
            self._start_seconds *= 2

    # Workers

    def _fill(self) -> None:
        """Sends jobs to idle workers of their shape, and starts workers while there is room."""
        self._release_placement_groups()
        for slot in self._slots:
            if slot.idle and self._pending.get(slot.shape):
                self._send(slot, self._pending[slot.shape].popleft())
        while wanted := self._wanted():
            if (shape := next(filter(self._room, wanted), None)) is not None:
                if not self._head_answers():
                    return
                self._start(shape)
            elif spare := next((slot for slot in self._slots if slot.idle), None):
                self._release(spare)
            else:
                return

    def _wanted(self) -> list[Shape]:
        """The shapes with more waiting jobs than starting workers."""
        starting = Counter(slot.shape for slot in self._slots if slot.starting)
        return [
            shape
            for shape, queue in self._pending.items()
            if len(queue) > starting[shape] and misfit(shape, self._nodes) is None
        ]

    def _room(self, shape: Shape) -> bool:
        if len(self._slots) >= most_at_once(self._nodes, self._slots_limit):
            return False
        return fits([*(slot.shape for slot in self._slots), shape], self._nodes)

    def _start(self, shape: Shape) -> None:
        resources: dict[str, Any] = {"num_cpus": shape.cpus, "num_gpus": shape.gpus}
        if shape.memory:
            resources["memory"] = int(shape.memory)
        if shape.processes > 1:  # the processes that it starts take the resources that are counted here
            resources = {"num_cpus": 0}
        actor: Any = ray.remote(Worker).options(**resources, max_restarts=0, max_task_retries=0).remote(self._config)
        self._slots.append(_Slot(actor, shape, actor.start.remote(), since=time.monotonic()))

    def _send(self, slot: _Slot, work: _Attempt) -> None:
        slot.work, slot.since = work, time.monotonic()
        slot.answer = slot.actor.run.remote(work.jobs)
        for job in work.jobs:
            self._progress.started(job)

    def _release(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        ray.kill(slot.actor)
        self._unreleased |= slot.shape.processes > 1

    def _release_placement_groups(self) -> None:
        """Removes the placement groups of ended workers, which Ray Train leaves to the dashboard, if there is one.

        A placement group has the id of its job and not of its actor, so this waits until none of this job is in use.
        """
        if not self._unreleased or any(slot.work and slot.shape.processes > 1 for slot in self._slots):
            return
        job = ray.get_runtime_context().get_job_id()
        for hexadecimal, group in ray.util.placement_group_table().items():
            if hexadecimal.endswith(job) and group["state"] != "REMOVED":
                ray.util.remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(hexadecimal))))
        self._unreleased = False

    # Answers

    def _collect(self) -> None:
        """Waits up to :data:`TICK_SECONDS` for an answer, and handles all that have arrived."""
        waiting = [slot.answer for slot in self._slots if slot.answer is not None]
        if not waiting:
            time.sleep(TICK_SECONDS)
            return
        if not ray.wait(waiting, timeout=TICK_SECONDS)[0]:
            return
        ready = set(ray.wait(waiting, num_returns=len(waiting), timeout=0)[0])
        for slot in [slot for slot in self._slots if slot.answer in ready]:
            self._handle_answer(slot)

    def _handle_answer(self, slot: _Slot) -> None:
        work, answer = slot.work, slot.answer
        slot.work = slot.answer = None
        try:
            value: WorkerInfo | list[RunResult] = ray.get(answer)
        except RayTaskError as error:
            self._on_task_error(slot, work, error)
        except RayError as error:
            self._release(slot)
            self._on_worker_death(work, error)
        else:
            self._start_failures.clear()
            if isinstance(value, WorkerInfo):
                self._check_code(value)
            elif work is not None:
                for job, ending in zip(work.jobs, value, strict=True):
                    self._end(job, ending.status, ending.sentence)

    def _check_code(self, worker: WorkerInfo) -> None:
        self._start_seconds = START_SECONDS
        if reason := code_mismatch(worker, self._driver):
            raise ClusterError(reason)

    def _on_task_error(self, slot: _Slot, work: _Attempt | None, error: RayTaskError) -> None:
        """Handles an error that a worker raised.

        An error at its start ends the launch. Jobs that cannot be stacked are queued one by one. A worker whose device
        failed is replaced, since every later job would fail in it too. Any other error is recorded as a failed run.
        """
        sentence = sentence_of(error.cause if isinstance(error.cause, BaseException) else error)
        if work is None:
            raise ClusterError(
                sentence if isinstance(error.cause, SymbenchError) else f"Workers cannot start: {sentence}"
            ) from error
        if isinstance(error.cause, NotStacked):
            self._progress.note(f"{label(*work.jobs)}: run one by one, because {error.cause}.")
            self._requeue(work.split())
        elif isinstance(error.cause, DeviceFailed):
            self._release(slot)
            self._retry(work, f"its device failed ({error.cause})", error)
        else:
            self._fail(work, Failure(sentence=sentence, traceback=str(error)))

    def _on_worker_death(self, work: _Attempt | None, error: RayError) -> None:
        if work is None:
            self._start_failures.append(time.monotonic())
            if self._cannot_start():
                raise ClusterError(f"Workers die while they start: {sentence_of(error)}") from error
            return
        self._retry(work, "its worker died (killed or out of memory)", error)

    def _retry(self, work: _Attempt, why: str, error: RayError) -> None:
        """Tries the jobs without a record again, up to :data:`MAX_ATTEMPTS` times in all."""
        work.losses += 1
        if work.losses >= MAX_ATTEMPTS:
            sentence = f"The run was tried {MAX_ATTEMPTS} times, and the last time {why}."
            self._fail(work, Failure(sentence=sentence, traceback=str(error)))
        elif unfinished := self._unfinished(work):
            self._progress.note(f"{label(*unfinished.jobs)}: {why}, trying again.")
            self._requeue(unfinished.split())

    def _cannot_start(self) -> bool:
        """Whether all workers failed to start, for longer than Ray needs to notice a dead node, and none is running."""
        lasted = self._start_failures[-1] - self._start_failures[0]
        enough = len(self._start_failures) >= MAX_START_FAILURES and lasted > START_FAILURE_SECONDS
        return enough and not any(slot.work for slot in self._slots)

    def _end_timed_out(self) -> None:
        for slot in [slot for slot in self._slots if slot.timed_out]:
            work, answer = slot.work, slot.answer
            self._release(slot)
            ray.wait([answer], timeout=KILL_SECONDS)
            if work is not None:
                sentence = f"The run took longer than its timeout of {work.timeout:g} s and was ended."
                self._fail(work, Failure(sentence=sentence))

    # Ends of runs

    def _unfinished(self, work: _Attempt) -> _Attempt | None:
        """The jobs for which the lost worker wrote no record; ends those for which it did."""
        left = []
        for job in work.jobs:
            record = self._store.read(job.spec.digest)
            if record is not None and record.status == "succeeded":
                self._end(job, "succeeded", None)
            else:
                left.append(job)
        return _Attempt(tuple(left), work.losses) if left else None

    def _requeue(self, tries: Sequence[_Attempt]) -> None:
        for one in reversed(tries):
            self._pending[Shape.of(one.jobs[0].resources)].appendleft(one)

    def _fail(self, work: _Attempt, failure: Failure) -> None:
        """Fails the jobs that have not succeeded."""
        left = self._unfinished(work)
        for job in left.jobs if left else ():
            self._store.write(failed_record(job, failure), [])
            self._end(job, "failed", failure.sentence)

    def _end(self, job: Job, status: Status, sentence: str | None) -> None:
        self._progress.finished(job, status, sentence)
        self._on_end(job.spec.digest, status, sentence)
