"""Launches of thousands of runs: none is lost with a node, workers wait little, a large plan is small."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.execution.launch import launch
from harness.records.store import Store
from harness.spec import Job, RunSpec
from harness.suites.loading import load
from harness.suites.plan import plan
from tasks.protocol import Protocol
from tests.cluster.nodes import EXECUTORS, several_nodes

pytestmark = pytest.mark.benchmark
SUITE = """\
protocol: quick
seeds: 1000
experiments:
  - {tasks: [nbody], methods: [egnn, "gnn-*", "transformer-*", "mlp-*"]}
  - {tasks: [graph8c], methods: [gin, gcn]}
"""


class Watcher:
    """Counts, and calls ``once`` when so many runs have ended."""

    def __init__(self, ends: int = -1, once: Callable[[], None] = lambda: None) -> None:
        self.ended: Counter[str] = Counter()
        self.first = 0.0
        self._ends, self._once = ends, once

    def begin(self, todo: int, done: int) -> None: ...

    def started(self, job: Job) -> None:
        self.first = self.first or time.perf_counter()

    def finished(self, job: Job, status: str, sentence: str | None) -> None:
        self.ended[job.spec.digest] += 1
        if self.ended.total() == self._ends:
            self._once()

    def note(self, text: str) -> None: ...

    def end(self) -> None: ...


def job(seed: int, act: str = "nothing", **options: object) -> Job:
    spec = RunSpec(
        task="graph8c",
        task_version="1",
        method="gin",
        method_version="1",
        sampler={"act": act, **options},
        seed=seed,
        protocol="quick",
        settings=Protocol(),
    )
    return Job(spec=spec, suite="s")


def test_2000_runs_on_three_nodes_of_which_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = 2000
    with several_nodes(monkeypatch) as nodes:
        store, watcher = Store(tmp_path), Watcher(runs // 2, nodes.kill)
        began = time.perf_counter()
        result = launch(
            [job(seed) for seed in range(runs)],
            store,
            address=nodes.address,
            suite="s",
            progress=watcher,
            executor="symbench_test_executors:nothing",
        )
        seconds = time.perf_counter() - began
    assert len(nodes.up) == 2
    assert len(result.succeeded) == len(set(result.succeeded)) == runs
    assert set(watcher.ended.values()) == {1}
    assert len([path for path in (tmp_path / "records").iterdir() if path.suffix == ".json"]) == runs
    with capsys.disabled():
        print(
            f"\n{runs} empty runs on three nodes, one killed midway: {len(store.statuses())} records, {seconds:.0f} s"
        )


def test_workers_wait_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, each, slots = 200, 3.0, 2
    monkeypatch.setenv("PYTHONPATH", str(EXECUTORS))
    jobs, watcher = [job(seed, "sleep", seconds=each) for seed in range(runs)], Watcher()
    began = time.perf_counter()
    executor = "symbench_test_executors:act"
    launch(jobs, Store(tmp_path), address=None, suite="s", progress=watcher, slots=slots, executor=executor)
    seconds = time.perf_counter() - began
    share = runs * each / (seconds * slots)
    with capsys.disabled():
        print(
            f"\n{runs} runs of {each:g} s on {slots} slots: {share:.3f} of the workers' time is in runs, "
            f"{watcher.first - began:.1f} s to the first run"
        )
    assert share >= 0.9


def test_a_plan_of_20000_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(SUITE)
    began = time.perf_counter()
    found = plan(load(path), Store(tmp_path / "store"))
    seconds, resident = time.perf_counter() - began, psutil.Process().memory_info().rss
    assert len(found.todo) >= 20_000
    with capsys.disabled():
        print(f"\na plan of {len(found.jobs)} runs: {seconds:.1f} s, {resident / 1024**2:.0f} MiB in this process")
    assert seconds < 10
    assert resident < 2**30
