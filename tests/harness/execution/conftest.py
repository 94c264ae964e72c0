"""Jobs whose runs do what a test asks for, and somebody who watches a launch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.spec import Job, Resources
from tests.harness.records.plain_records import spec

EXECUTORS = Path(__file__).parent


def make_job(act: str = "nothing", seed: int = 0, *, resources: Resources | None = None, **options: Any) -> Job:
    run = replace(spec(seed), sampler={"act": act, **options})
    return Job(spec=run, suite="tests", resources=resources or Resources())


class Watcher:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.starts: Counter[str] = Counter()
        self.ends: list[tuple[str, str, str | None]] = []
        self.notes: list[str] = []

    def begin(self, todo: int, done: int) -> None:
        raise AssertionError("the caller begins")

    def started(self, job: Job) -> None:
        self.starts[job.spec.digest] += 1

    def finished(self, job: Job, status: str, sentence: str | None) -> None:
        self.ends.append((job.spec.digest, status, sentence))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None:
        raise AssertionError("the caller ends")


@pytest.fixture
def job() -> Callable[..., Job]:
    return make_job


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()
