"""What a launch says as it goes: the time left is that of what is left, at the pace of what has ended."""

from __future__ import annotations

import io
from typing import Literal

import pytest
from rich.console import Console

from harness.execution import progress as progress_module
from harness.execution.progress import LiveProgress, PlainProgress, progress_for
from harness.spec import Job
from harness.suites.labels import label
from tests.harness.synthetic import make_record


class Watched:
    """A plain progress under a clock that is set by hand."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr(progress_module.time, "monotonic", lambda: self.now)
        self._text = io.StringIO()
        self.progress = PlainProgress(Console(file=self._text, width=200), seconds=0.0)

    def last(self) -> str:
        return self._text.getvalue().splitlines()[-1]


def job(seed: int) -> Job:
    return Job(spec=make_record(seed=seed).spec, suite="quick")


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_the_time_left_is_the_pace_times_what_is_left(watched: Watched, status: Literal["succeeded", "failed"]) -> None:
    """20 s for each of 10: those that had a record already, 90 here, are neither done nor left."""
    watched.progress.begin(10, 90)
    watched.now += 500  # getting ready is no part of the pace
    for seed, left in enumerate(("3 min 00 s", "2 min 40 s", "2 min 20 s")):
        watched.progress.started(job(seed))
        watched.now += 20
        watched.progress.finished(job(seed), status, None)
        watched.progress.started(job(seed + 1))
        failed = seed + 1 if status == "failed" else 0
        assert watched.last() == f"{seed + 1}/10 done, 1 running, {failed} failed, about {left} left"


def test_runs_at_once_share_the_time(watched: Watched) -> None:
    """Two at a time of 30 s each: four ended in a minute, so six more take one and a half."""
    watched.progress.begin(10, 0)
    for pair in (0, 2):
        for seed in (pair, pair + 1):
            watched.progress.started(job(seed))
        watched.now += 30
        for seed in (pair, pair + 1):
            watched.progress.finished(job(seed), "succeeded", None)
    watched.progress.started(job(4))
    assert watched.last() == "4/10 done, 1 running, 0 failed, about 1 min 30 s left"


def test_a_run_that_is_tried_again_is_one_run(watched: Watched) -> None:
    watched.progress.begin(2, 0)
    watched.progress.started(job(0))
    watched.now += 5
    watched.progress.started(job(0))
    watched.now += 5
    watched.progress.finished(job(0), "succeeded", None)
    watched.progress.started(job(1))
    assert watched.last() == "1/2 done, 1 running, 0 failed, about 10 s left"
    watched.now += 10
    watched.progress.finished(job(1), "succeeded", None)
    assert watched.last() == "2/2 done, 0 running, 0 failed, about 0 s left"


def test_before_anything_ended_nothing_is_said_of_the_time_left() -> None:
    counts = progress_module._Counts()
    counts.begin(3)
    counts.start(job(0))
    assert counts.text() == "0/3 done, 1 running, 0 failed, time left unknown"


@pytest.mark.parametrize("terminal", [True, False])
def test_failures_and_notes_are_said_as_they_are_but_for_secrets(terminal: bool) -> None:
    text = io.StringIO()
    said = progress_for(Console(file=text, width=200, force_terminal=terminal, color_system=None))
    assert isinstance(said, LiveProgress) == terminal
    said.begin(1, 0)
    said.started(job(0))
    said.note("[red]http://user:PLANTED@host[/red]")
    said.finished(job(0), "failed", "[0] no answer from http://user:PLANTED@host")
    said.end()
    assert "[red]http://host[/red]" in text.getvalue() and "PLANTED" not in text.getvalue()
    assert f"failed: {label(job(0))}: [0] no answer from http://host" in text.getvalue()
