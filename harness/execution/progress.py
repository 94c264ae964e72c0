"""What a launch says as it goes: one rich live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, Protocol

from harness.utils.redaction import redacted

if TYPE_CHECKING:
    from rich.console import Console

    from harness.spec import Job, RunSpec

RunStatus = Literal["succeeded", "failed"]
PLAIN_SECONDS = 5.0


class Progress(Protocol):
    """What a launch tells those who watch it, always from one thread and in the order begin, ..., end.

    ``begin`` says how many runs are to be done and how many had a record already. ``started`` may come more than once
    for a job that is tried again; ``finished`` comes exactly once for each job.
    """

    def begin(self, todo: int, done: int) -> None: ...

    def started(self, job: Job) -> None: ...

    def finished(self, job: Job, status: Literal["succeeded", "failed"], sentence: str | None) -> None: ...

    def note(self, text: str) -> None: ...

    def end(self) -> None: ...


def task_label(spec: RunSpec) -> str:
    """The task, with those of its parameters that are no defaults: ``nbody(nodes=8)``."""
    from harness.registry import tasks
    from tasks.settings import as_params

    card = tasks().get(spec.task)
    defaults = as_params(card.resolve(card.settings())) if card else {}
    given = [f"{name}={value}" for name, value in spec.task_params.items() if defaults.get(name) != value]
    return f"{spec.task}({', '.join(given)})" if given else spec.task


def label(*jobs: Job) -> str:
    """A run, or runs that differ by their seed alone, in a few words."""
    seeds = ", ".join(str(job.spec.seed) for job in jobs)
    return f"{task_label(jobs[0].spec)} x {jobs[0].spec.method}, {'seed' if len(jobs) == 1 else 'seeds'} {seeds}"


class _Tally:
    """Counts of one launch, and the time left at the pace so far."""

    def __init__(self) -> None:
        self.todo = self.succeeded = self.failed = 0
        self.running: set[str] = set()
        self.since = time.monotonic()

    def begin(self, todo: int) -> None:
        self.todo, self.since = todo, time.monotonic()

    def start(self, job: Job) -> None:
        if not self.running and not self.ended:
            self.since = time.monotonic()  # what it took to get ready says nothing of the runs
        self.running.add(job.spec.digest)

    def finish(self, job: Job, status: RunStatus) -> None:
        self.running.discard(job.spec.digest)
        if status == "succeeded":
            self.succeeded += 1
        else:
            self.failed += 1

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed

    @property
    def all_started(self) -> bool:
        return self.ended + len(self.running) == self.todo

    def counts(self) -> str:
        left = "time left unknown"
        if self.ended:
            seconds = (time.monotonic() - self.since) / self.ended * (self.todo - self.ended)
            left = f"about {duration(seconds)} left"
        return f"{self.ended}/{self.todo} done, {len(self.running)} running, {self.failed} failed, {left}"


def duration(seconds: float) -> str:
    """As people say it: ``3 min 07 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class PlainProgress:
    """Whole lines for logs and pipes: every failure, and the counts at most every ``seconds``.

    Counts are taken as a run starts in place of one that ended, or as one ends while none is left to start.
    """

    def __init__(self, console: Console, seconds: float = PLAIN_SECONDS) -> None:
        self._console = console
        self._seconds = seconds
        self._tally = _Tally()
        self._said = 0.0

    def begin(self, todo: int, done: int) -> None:
        self._tally.begin(todo)
        self._said = time.monotonic()
        self._say(f"{todo} runs to do, {done} have a record already")

    def started(self, job: Job) -> None:
        self._tally.start(job)
        if self._tally.ended:
            self._count()

    def finished(self, job: Job, status: RunStatus, sentence: str | None) -> None:
        self._tally.finish(job, status)
        if status == "failed":
            self._say(f"failed: {label(job)}: {sentence}")
        if self._tally.all_started:
            self._count()

    def note(self, text: str) -> None:
        self._say(text)

    def end(self) -> None:
        return None

    def _count(self) -> None:
        if time.monotonic() - self._said >= self._seconds or self._tally.ended == self._tally.todo:
            self._said = time.monotonic()
            self._say(self._tally.counts())

    def _say(self, text: str) -> None:
        self._console.print(redacted(text), markup=False, highlight=False, soft_wrap=True)


class LiveProgress:
    """A bar with the counts and the time left, redrawn in place; failures and notes scroll above it."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._bar = Bar(*columns, console=console, refresh_per_second=4)
        self._tally = _Tally()

    def begin(self, todo: int, done: int) -> None:
        self._tally.begin(todo)
        self.note(f"{todo} runs to do, {done} have a record already")
        self._row = self._bar.add_task(self._tally.counts(), total=todo)
        self._bar.start()

    def started(self, job: Job) -> None:
        self._tally.start(job)
        self._draw()

    def finished(self, job: Job, status: RunStatus, sentence: str | None) -> None:
        self._tally.finish(job, status)
        if status == "failed":
            self.note(f"failed: {label(job)}: {sentence}")
        self._draw()

    def note(self, text: str) -> None:
        self._bar.console.print(redacted(text), markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._bar.stop()

    def _draw(self) -> None:
        self._bar.update(self._row, completed=self._tally.ended, description=self._tally.counts())


def progress_for(console: Console) -> Progress:
    """The implementation that suits where ``console`` writes."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
