"""The time that is left is what the runs that are left will take at the pace so far."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution import progress
from harness.execution.progress import PlainProgress
from harness.spec import Job
from harness.utils.text import duration
from tests.harness.execution.conftest import make_job


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress.time, "monotonic", made)
    return made


@pytest.fixture
def jobs() -> list[Job]:
    return [make_job(seed=seed) for seed in range(10)]


def test_what_is_left_counts_and_getting_ready_does_not(clock: Clock, jobs: list[Job]) -> None:
    counts = progress._Counts()
    counts.begin(10)
    clock.now += 500  # a cluster that starts
    for job in jobs[:2]:
        counts.start(job)
    assert counts.text() == "0/10 done, 2 running, 0 failed, time left unknown"
    for number, job in enumerate(jobs[:4]):
        clock.now += 10
        counts.finish(job, "failed" if number == 3 else "succeeded")
        counts.start(jobs[number + 2])
    assert counts.text() == "4/10 done, 2 running, 1 failed, about 1 min 00 s left"  # six at ten seconds each
    for job in jobs[4:]:
        clock.now += 10
        counts.finish(job, "succeeded")
    assert counts.text() == "10/10 done, 0 running, 1 failed, about 0 s left"


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 100))
def test_a_steady_pace_is_foretold(ended: int, left: int, seconds: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(progress.time, "monotonic", clock)
        counts = progress._Counts()
        counts.begin(ended + left)
        made = [make_job(seed=seed) for seed in range(ended)]
        for job in made:
            counts.start(job)
            clock.now += seconds
            counts.finish(job, "succeeded")
        assert counts.text().endswith(f"about {duration(left * seconds)} left")


def test_counts_are_said_when_the_last_has_started_or_a_place_is_taken(
    clock: Clock, jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    said = PlainProgress(Console(width=200), seconds=5.0)
    said.begin(2, 1)
    said.started(jobs[0])
    said.started(jobs[1])
    clock.now += 4
    said.finished(jobs[0], "succeeded", None)  # too soon after the last line
    clock.now += 2
    said.finished(jobs[1], "succeeded", None)
    assert capsys.readouterr().out.splitlines() == [
        "2 runs to do, 1 have a record already",
        "2/2 done, 0 running, 0 failed, about 0 s left",
    ]
