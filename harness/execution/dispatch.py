"""Hands jobs to long-lived Ray actors, one or one stack at a time each, until every job has a record.

Ray's own retries are off: here a dead worker is replaced, its job is tried again, and what cannot succeed is recorded
as failed. A worker serves jobs of one resource shape, so that importing torch is paid once per worker.
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

from harness.errors import SymbenchError
from harness.execution.cluster import head_answers, living_nodes
from harness.execution.placement import Shape, fits, misfit, most_at_once
from harness.execution.progress import Progress, RunStatus
from harness.execution.run_job import failed_record, sentence_of
from harness.execution.stacks import Stack, stacks
from harness.execution.worker import RunResult, Worker, WorkerConfig, WorkerInfo, code_mismatch, worker_info
from harness.records.record import Failure
from harness.records.store import Store
from harness.spec import Job
from harness.suites.labels import label
from harness.training.device_errors import DeviceFailed
from harness.training.results import NotStacked

TRIES = 3
FALSE_STARTS = 3
# A node that dies is noticed after a quarter of a minute: until then workers may be started on it.
FALSE_START_SECONDS = 20.0
TICK_SECONDS = 1.0
NODES_SECONDS = 5.0
HEAD_SECONDS = 15.0
GRACE_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
# Ray can lose the reply that grants a worker: neither an answer nor an error ever comes of that actor.
START_SECONDS = 120.0
KILL_SECONDS = 10.0


@dataclass(eq=False)
class _Try:
    """Jobs that are still to be done, by one worker at once, and how many workers were lost over them."""

    jobs: Stack
    losses: int = 0

    @property
    def timeout(self) -> float | None:
        """In seconds: of each job, and at worst they go one after another."""
        each = self.jobs[0].resources.timeout
        return None if each is None else each * len(self.jobs)

    def apart(self) -> list[_Try]:
        return [_Try((job,), self.losses) for job in self.jobs]


@dataclass(eq=False)
class _Slot:
    """One actor. Its ``answer`` is under way while it starts (no ``work`` yet) and while it runs a job."""

    actor: Any
    shape: Shape
    answer: Any
    since: float
    work: _Try | None = None

    @property
    def starting(self) -> bool:
        return self.answer is not None and self.work is None

    @property
    def idle(self) -> bool:
        return self.answer is None

    def late(self, seconds: float) -> bool:
        """Whether it has been starting for longer than that."""
        return self.starting and time.monotonic() - self.since > seconds

    @property
    def overdue(self) -> bool:
        timeout = self.work.timeout if self.work else None
        return timeout is not None and time.monotonic() - self.since > timeout


def dispatch(
    jobs: Sequence[Job],
    store: Store,
    config: WorkerConfig,
    progress: Progress,
    *,
    slots: int | None = None,
    on_end: Callable[[str, RunStatus, str | None], None],
) -> None:
    """Runs every job on the Ray that is up, at most ``slots`` at once; calls ``on_end`` once for each digest.

    Raises :class:`SymbenchError` where no worker can serve, a failure cannot be recorded or another launch has taken
    the store: going on would only waste the other runs. What is finished has its record, and no actor is left.
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
        on_end: Callable[[str, RunStatus, str | None], None],
    ) -> None:
        self._store, self._progress, self._most, self._on_end = store, progress, slots, on_end
        self._config, self._driver = ray.put(config), config.driver or worker_info()
        self._pending: dict[Shape, deque[_Try]] = {}
        self._slots: list[_Slot] = []
        self._false_starts: list[float] = []
        self._waiting_noted = False
        self._start_seconds = START_SECONDS
        self._missing_since: dict[Shape, float] = {}
        self._held = False
        self._nodes: list[Shape] = []
        self._looked = float("-inf")
        self._mute_since: float | None = None

    def run(self, jobs: Sequence[Job]) -> None:
        for stack in stacks(jobs):
            self._pending.setdefault(Shape.of(stack[0].resources), deque()).append(_Try(stack))
        self._look_at_nodes()
        self._refuse_misfits(grace=0.0)
        while any(self._pending.values()) or any(slot.work for slot in self._slots):
            self._store.check_lock()
            self._fill()
            self._collect()
            self._end_overdue()
            if time.monotonic() - self._looked > NODES_SECONDS and self._head_answers():
                self._look_at_nodes()
                self._refuse_misfits(grace=GRACE_SECONDS)
                self._note_waiting()
                self._renew_late_starts()

    def release_all(self) -> None:
        for slot in list(self._slots):
            self._release(slot)

    # Nodes

    def _head_answers(self) -> bool:
        """Raises :class:`SymbenchError` where it has not for a while: nothing can be started without it."""
        now = time.monotonic()
        if head_answers():
            self._mute_since = None
        else:
            self._mute_since = self._mute_since or now
            if now - self._mute_since > HEAD_SECONDS:
                raise SymbenchError(
                    "The head of the Ray cluster does not answer any more: start the cluster again and give the same "
                    "command, which does what is left."
                )
        return self._mute_since is None

    def _look_at_nodes(self) -> None:
        self._looked = time.monotonic()
        self._nodes = living_nodes()

    def _refuse_misfits(self, grace: float) -> None:
        """Fails the jobs that no node can hold; one whose node was lost gets ``grace`` seconds for it to come back."""
        now = time.monotonic()
        for shape, queue in self._pending.items():
            sentence = misfit(shape, self._nodes)
            if sentence is None:
                self._missing_since.pop(shape, None)
            elif now - self._missing_since.setdefault(shape, now) >= grace:
                while queue:
                    self._fail(queue.popleft(), Failure(sentence=sentence))

    def _note_waiting(self) -> None:
        if any(slot.late(PATIENCE_SECONDS) for slot in self._slots) and not self._waiting_noted:
            self._waiting_noted = True
            self._progress.note("Waiting for the cluster to start a worker: other work may be using its resources.")

    def _renew_late_starts(self) -> None:
        """Asks anew for workers that do not come; each time later, since a start may be slow and not lost."""
        late = [slot for slot in self._slots if slot.late(self._start_seconds)]
        for slot in late:
            self._release(slot)
        if late:
            self._start_seconds *= 2

    # Workers

    def _fill(self) -> None:
        """Gives idle workers a job of their shape, and starts workers while there is room."""
        self._reclaim()
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
        """The shapes with more jobs waiting than workers that are starting for them."""
        starting = Counter(slot.shape for slot in self._slots if slot.starting)
        return [
            shape
            for shape, queue in self._pending.items()
            if len(queue) > starting[shape] and misfit(shape, self._nodes) is None
        ]

    def _room(self, shape: Shape) -> bool:
        if len(self._slots) >= most_at_once(self._nodes, self._most):
            return False
        return fits([*(slot.shape for slot in self._slots), shape], self._nodes)

    def _start(self, shape: Shape) -> None:
        resources: dict[str, Any] = {"num_cpus": shape.cpus, "num_gpus": shape.gpus}
        if shape.memory:
            resources["memory"] = int(shape.memory)
        if shape.processes > 1:  # what is counted here is taken by the processes that it starts
            resources = {"num_cpus": 0}
        actor: Any = ray.remote(Worker).options(**resources, max_restarts=0, max_task_retries=0).remote(self._config)
        self._slots.append(_Slot(actor, shape, actor.start.remote(), since=time.monotonic()))

    def _send(self, slot: _Slot, work: _Try) -> None:
        slot.work, slot.since = work, time.monotonic()
        slot.answer = slot.actor.run.remote(work.jobs)
        for job in work.jobs:
            self._progress.started(job)

    def _release(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        ray.kill(slot.actor)
        self._held |= slot.shape.processes > 1

    def _reclaim(self) -> None:
        """Gives back what the processes of ended workers were placed in: Ray Train leaves that to a dashboard, if any.

        Placement groups do not tell whose they are, but only their job; so this waits until none of ours is in use.
        """
        if not self._held or any(slot.work and slot.shape.processes > 1 for slot in self._slots):
            return
        job = ray.get_runtime_context().get_job_id()
        for hexadecimal, group in ray.util.placement_group_table().items():
            if hexadecimal.endswith(job) and group["state"] != "REMOVED":
                ray.util.remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(hexadecimal))))
        self._held = False

    # Answers

    def _collect(self) -> None:
        """Waits for an answer, at most a tick, and takes all that are there."""
        waiting = [slot.answer for slot in self._slots if slot.answer is not None]
        if not waiting:
            time.sleep(TICK_SECONDS)
            return
        if not ray.wait(waiting, timeout=TICK_SECONDS)[0]:
            return
        ready = set(ray.wait(waiting, num_returns=len(waiting), timeout=0)[0])
        for slot in [slot for slot in self._slots if slot.answer in ready]:
            self._take(slot)

    def _take(self, slot: _Slot) -> None:
        work, answer = slot.work, slot.answer
        slot.work = slot.answer = None
        try:
            value: WorkerInfo | list[RunResult] = ray.get(answer)
        except RayTaskError as error:
            self._raised(slot, work, error)
        except RayError as error:
            self._release(slot)
            self._died(work, error)
        else:
            self._false_starts.clear()
            if isinstance(value, WorkerInfo):
                self._welcome(value)
            elif work is not None:
                for job, ending in zip(work.jobs, value, strict=True):
                    self._end(job, ending.status, ending.sentence)

    def _welcome(self, theirs: WorkerInfo) -> None:
        self._start_seconds = START_SECONDS
        if reason := code_mismatch(theirs, self._driver):
            raise SymbenchError(reason)

    def _raised(self, slot: _Slot, work: _Try | None, error: RayTaskError) -> None:
        """A worker that cannot serve ends the launch; what a run raised past its own record becomes a failed one.

        Jobs that cannot be done at once wait again, each for itself. A worker whose device failed is replaced: every
        later job would fail in it too.
        """
        sentence = sentence_of(error.cause if isinstance(error.cause, BaseException) else error)
        if work is None:
            raise SymbenchError(
                sentence if isinstance(error.cause, SymbenchError) else f"Workers cannot start: {sentence}"
            ) from error
        if isinstance(error.cause, NotStacked):
            self._progress.note(f"{label(*work.jobs)}: one by one, because {error.cause}.")
            self._wait_again(work.apart())
        elif isinstance(error.cause, DeviceFailed):
            self._release(slot)
            self._lost(work, f"its device failed ({error.cause})", error)
        else:
            self._fail(work, Failure(sentence=sentence, traceback=str(error)))

    def _died(self, work: _Try | None, error: RayError) -> None:
        if work is None:
            self._false_starts.append(time.monotonic())
            if self._hopeless():
                raise SymbenchError(f"Workers die as they start: {sentence_of(error)}") from error
            return
        self._lost(work, "its worker died (killed or out of memory)", error)

    def _lost(self, work: _Try, why: str, error: RayError) -> None:
        """Tries the jobs again that have no record, :data:`TRIES` times in all."""
        work.losses += 1
        if work.losses >= TRIES:
            sentence = f"The run was tried {TRIES} times, and the last time {why}."
            self._fail(work, Failure(sentence=sentence, traceback=str(error)))
        elif left := self._left(work):
            self._progress.note(f"{label(*left.jobs)}: {why}, trying again.")
            self._wait_again(left.apart())

    def _hopeless(self) -> bool:
        """Nothing but false starts, for longer than a node that dies goes unnoticed. What is at work is a hope."""
        lasted = self._false_starts[-1] - self._false_starts[0]
        enough = len(self._false_starts) >= FALSE_STARTS and lasted > FALSE_START_SECONDS
        return enough and not any(slot.work for slot in self._slots)

    def _end_overdue(self) -> None:
        for slot in [slot for slot in self._slots if slot.overdue]:
            work, answer = slot.work, slot.answer
            self._release(slot)
            ray.wait([answer], timeout=KILL_SECONDS)
            if work is not None:
                sentence = f"The run took longer than its timeout of {work.timeout:g} s and was ended."
                self._fail(work, Failure(sentence=sentence))

    # Endings

    def _left(self, work: _Try) -> _Try | None:
        """What its worker, which died or was ended, wrote no record of; ends the jobs that it did write one of."""
        left = []
        for job in work.jobs:
            record = self._store.read(job.spec.digest)
            if record is not None and record.status == "succeeded":
                self._end(job, "succeeded", None)
            else:
                left.append(job)
        return _Try(tuple(left), work.losses) if left else None

    def _wait_again(self, tries: Sequence[_Try]) -> None:
        for one in reversed(tries):
            self._pending[Shape.of(one.jobs[0].resources)].appendleft(one)

    def _fail(self, work: _Try, failure: Failure) -> None:
        """Fails the jobs that have not succeeded."""
        left = self._left(work)
        for job in left.jobs if left else ():
            self._store.write(failed_record(job, failure), [])
            self._end(job, "failed", failure.sentence)

    def _end(self, job: Job, status: RunStatus, sentence: str | None) -> None:
        self._progress.finished(job, status, sentence)
        self._on_end(job.spec.digest, status, sentence)
