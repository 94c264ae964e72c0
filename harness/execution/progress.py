"""The progress of a launch: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
import typing
from typing import TYPE_CHECKING

from harness.suites.labels import label
from harness.utils.redaction import redacted
from harness.utils.text import duration

if TYPE_CHECKING:
    from rich.console import Console

    from harness.records.record import Status
    from harness.spec import Job

PLAIN_SECONDS = 5.0


class Progress(typing.Protocol):
    """Is notified of the progress of a launch, always from one thread and in the order begin, ..., end."""

    def begin(self, todo: int, done: int) -> None:
        """The launch has ``todo`` runs to do; ``done`` runs had a record already."""

    def started(self, job: Job) -> None:
        """A job was sent to a worker, possibly again."""

    def finished(self, job: Job, status: Status, sentence: str | None) -> None:
        """A job has its record (once for each job); ``sentence`` is the reason of a failure."""

    def note(self, text: str) -> None:
        """There is a message for the user."""

    def end(self) -> None:
        """The launch has ended."""


class _Counts:
    """Counts of one launch, and the time left at the speed so far."""

    def __init__(self) -> None:
        self.todo = self.succeeded = self.failed = 0
        self.running: set[str] = set()
        self.since = time.monotonic()

    def begin(self, todo: int) -> None:
        self.todo, self.since = todo, time.monotonic()

    def start(self, job: Job) -> None:
        if not self.running and not self.ended:
            self.since = time.monotonic()  # the time before the first run does not count
        self.running.add(job.spec.digest)

    def finish(self, job: Job, status: Status) -> None:
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

    def text(self) -> str:
        left = "time left unknown"
        if self.ended:
            seconds = (time.monotonic() - self.since) / self.ended * (self.todo - self.ended)
            left = f"about {duration(seconds)} left"
        return f"{self.ended}/{self.todo} done, {len(self.running)} running, {self.failed} failed, {left}"


class PlainProgress(Progress):
    """Prints lines for logs and pipes: every failure, and the counts at most every ``seconds``.

    The counts are printed when a run starts after another has ended, or when a run ends and none is left to start.
    """

    def __init__(self, console: Console, seconds: float = PLAIN_SECONDS) -> None:
        self._console = console
        self._seconds = seconds
        self._counts = _Counts()
        self._printed = 0.0

    def begin(self, todo: int, done: int) -> None:
        self._counts.begin(todo)
        self._printed = time.monotonic()
        self._print(f"{todo} runs to do, {done} have a record already")

    def started(self, job: Job) -> None:
        self._counts.start(job)
        if self._counts.ended:
            self._count()

    def finished(self, job: Job, status: Status, sentence: str | None) -> None:
        self._counts.finish(job, status)
        if status == "failed":
            self._print(f"failed: {label(job)}: {sentence}")
        if self._counts.all_started:
            self._count()

    def note(self, text: str) -> None:
        self._print(text)

    def end(self) -> None:
        return None

    def _count(self) -> None:
        if time.monotonic() - self._printed >= self._seconds or self._counts.ended == self._counts.todo:
            self._printed = time.monotonic()
            self._print(self._counts.text())

    def _print(self, text: str) -> None:
        self._console.print(redacted(text), markup=False, highlight=False, soft_wrap=True)


class LiveProgress(Progress):
    """Shows a bar with the counts and the time left; failures and notes are printed above it."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._bar = Bar(*columns, console=console, refresh_per_second=4)
        self._counts = _Counts()

    def begin(self, todo: int, done: int) -> None:
        self._counts.begin(todo)
        self.note(f"{todo} runs to do, {done} have a record already")
        self._row = self._bar.add_task(self._counts.text(), total=todo)
        self._bar.start()

    def started(self, job: Job) -> None:
        self._counts.start(job)
        self._draw()

    def finished(self, job: Job, status: Status, sentence: str | None) -> None:
        self._counts.finish(job, status)
        if status == "failed":
            self.note(f"failed: {label(job)}: {sentence}")
        self._draw()

    def note(self, text: str) -> None:
        self._bar.console.print(redacted(text), markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._bar.stop()

    def _draw(self) -> None:
        self._bar.update(self._row, completed=self._counts.ended, description=self._counts.text())


def progress_for(console: Console) -> Progress:
    """Returns the progress for ``console``: live on a terminal, else plain."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
