"""What a launch costs beside its runs: 500 that do nothing but write a record (aim: 60 s on two cores, flat driver)."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from harness.execution.launch import launch
from harness.records.store import Store
from harness.spec import Job
from tests.harness.records.plain_records import spec

pytestmark = pytest.mark.benchmark
RUNS = 500
EXECUTORS = Path(__file__).parents[1] / "harness" / "execution"


class Memory:
    """Progress that notes the driver's resident memory as runs end."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.first = 0.0
        self.resident: list[int] = []

    def started(self, job: Job) -> None:
        self.first = self.first or time.perf_counter() - self.began

    def finished(self, job: Job, status: str, sentence: str | None) -> None:
        assert status == "succeeded", sentence
        self.resident.append(psutil.Process().memory_info().rss)

    def note(self, text: str) -> None:
        raise AssertionError(text)

    def begin(self, todo: int, done: int) -> None: ...

    def end(self) -> None: ...


@pytest.mark.parametrize("mlflow", [True, False], ids=["MLflow", "no MLflow"])
def test_runs_that_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mlflow: bool
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXECUTORS))
    if not mlflow:
        monkeypatch.setattr("harness.execution.launch._tracker", lambda *arguments: None)
    store, memory = Store(tmp_path), Memory()
    jobs = [Job(spec=spec(seed), suite="s") for seed in range(RUNS)]
    executor = "symbench_test_executors:nothing"
    result = launch(jobs, store, address=None, suite="s", progress=memory, executor=executor)
    seconds = time.perf_counter() - memory.began
    assert len(result.succeeded) == RUNS
    assert len(store.statuses()) == RUNS
    early, late = memory.resident[RUNS // 5], memory.resident[-1]
    with capsys.disabled():
        print(
            f"\n{RUNS} empty runs {'with' if mlflow else 'without'} MLflow: {seconds:.1f} s in all, "
            f"{memory.first:.1f} s to the first, {1000 * (seconds - memory.first) / RUNS:.0f} ms each then; "
            f"driver {late / 1024**2:.0f} MiB, {late / early:.3f}x of run {RUNS // 5}"
        )
