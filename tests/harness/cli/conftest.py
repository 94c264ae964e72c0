"""The command line called in this process, in a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.cli import root
from harness.records.description import describe
from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.spec import Job

SUITE = """\
protocol: quick
seeds: 2
experiments: [{tasks: [graph8c], methods: [gin, mlp-ga, egnn]}]
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a suite in it and no store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(SUITE)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The console script in this process: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["symbench", *words])
        with pytest.raises(SystemExit) as ended:
            root.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def pretend(outcomes: Sequence[str]) -> Callable[..., None]:
    """A launch that trains nothing: each job gets the next outcome, and with "nothing" no record."""

    def launch(jobs: Sequence[Job], store: Store, *, progress: Any, **_: Any) -> None:
        for job, outcome in zip(jobs, outcomes, strict=True):
            progress.started(job)
            if outcome == "interrupt":
                raise KeyboardInterrupt
            if outcome != "nothing":
                now = datetime.now(UTC).isoformat()
                failure = Failure(sentence="It broke.") if outcome == "failed" else None
                described = describe(job.spec)
                record = Record(
                    spec=job.spec,
                    suite=job.suite,
                    status=outcome,
                    description=described,
                    started=now,
                    finished=now,
                    metrics={} if failure else {described.metric: 1.0},
                    failure=failure,
                )
                store.write(record, [])
                progress.finished(job, outcome, failure.sentence if failure else None)

    return launch


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    from harness.execution import launch

    return lambda *outcomes: monkeypatch.setattr(launch, "launch", pretend(outcomes))
