"""What a launch prints while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.execution.progress import LiveProgress, PlainProgress, progress_for
from harness.spec import Job
from harness.suites.labels import label
from harness.suites.loading import load


@pytest.fixture
def jobs(folder: Path) -> list[Job]:
    return load("mine.yaml").expand().jobs


def watch(progress: Any, jobs: Sequence[Job]) -> None:
    progress.begin(len(jobs), 7)
    for index, job in enumerate(jobs):
        progress.started(job)
        progress.finished(job, "failed" if index == 1 else "succeeded", "It broke." if index == 1 else None)
    progress.note("[bold]as it is[/bold]")
    progress.end()


def test_plain_progress_is_whole_lines(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    watch(PlainProgress(Console(width=20), seconds=0), jobs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 runs to do, 7 have a record already"
    assert f"failed: {label(jobs[1])}: It broke." in lines
    counts = [line for line in lines if "running" in line]
    assert [line.split(" done")[0] for line in counts] == ["1/4", "2/4", "3/4", "4/4"]
    assert counts[-1] == "4/4 done, 0 running, 1 failed, about 0 s left"
    assert lines[-1] == "[bold]as it is[/bold]"


def test_a_run_that_takes_the_place_of_another_counts_as_running(
    jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = PlainProgress(Console(width=80), seconds=0)
    progress.begin(len(jobs), 0)
    for job in jobs[:2]:
        progress.started(job)
    for ending, starting in zip(jobs[:2], jobs[2:], strict=True):
        progress.finished(ending, "succeeded", None)
        progress.started(starting)
    for job in jobs[2:]:
        progress.finished(job, "succeeded", None)
    counts = [line.partition(", 0 failed")[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert counts == ["1/4 done, 2 running", "2/4 done, 2 running", "3/4 done, 1 running", "4/4 done, 0 running"]


def test_plain_progress_is_not_chatty(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    watch(PlainProgress(Console(), seconds=3600), jobs)
    assert sum("running" in line for line in capsys.readouterr().out.splitlines()) == 1


def test_live_progress_shows_counts_and_failures(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(force_terminal=True, width=120)
    progress = progress_for(console)
    assert isinstance(progress, LiveProgress)
    watch(progress, jobs)
    shown = capsys.readouterr().out
    assert "4/4 done, 0 running, 1 failed" in shown
    assert f"failed: {label(jobs[1])}: It broke." in shown
    assert shown.count("It broke.") == 1
