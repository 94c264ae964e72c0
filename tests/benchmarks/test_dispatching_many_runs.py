"""20,000 runs on 50 nodes, as the driver sees them, and empty runs on as many real nodes as one machine bears.

The 50 nodes are played by the test, since the processes of 50 real ones would take more than two cores: what is
measured is all that the driver does, without Ray. ``SYMBENCH_BENCH_NODES`` and ``SYMBENCH_BENCH_RUNS`` set the size of
the real cluster.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from harness.execution.launch import launch
from harness.execution.placement import Shape
from harness.records.store import Store
from harness.spec import Job
from tests.benchmarks.test_dispatch import spec
from tests.cluster.nodes import several_nodes
from tests.harness.execution.conftest import Watcher
from tests.harness.execution.played_ray import Launch, PlayedRay, succeeding

pytestmark = pytest.mark.benchmark
NODES, RUNS = int(os.environ.get("SYMBENCH_BENCH_NODES", "8")), int(os.environ.get("SYMBENCH_BENCH_RUNS", "4000"))


class Clocks(Watcher):
    """Notes the driver's clock, processor time and memory as runs end."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[tuple[float, float, int]] = []

    def finished(self, job: Job, status: str, sentence: str | None) -> None:
        super().finished(job, status, sentence)
        if len(self.ends) % 100 == 0:
            self.moments.append((time.perf_counter(), time.process_time(), psutil.Process().memory_info().rss))

    def quarter(self, number: int) -> tuple[float, float, int]:
        """Milliseconds a run by the clock and of the driver's processor, and memory at the end, of a quarter."""
        size = len(self.moments) // 4
        first, last = self.moments[number * size], self.moments[(number + 1) * size - 1]
        runs = 100 * (size - 1) / 1000
        return (last[0] - first[0]) / runs, (last[1] - first[1]) / runs, last[2]


def test_the_driver_of_20000_runs_on_50_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [Job(spec=spec(seed), suite="s") for seed in range(20_000)]
    watcher = Clocks()
    played, ray = Launch(tmp_path, watcher), PlayedRay(succeeding, nodes=[Shape(0, 1)] * 50, most_waits=10**6)
    played.go(ray, jobs)
    (_, early, before), (_, late, after) = watcher.quarter(0), watcher.quarter(3)
    with capsys.disabled():
        print(
            f"\n20,000 runs on {ray.most} workers: {1000 * early:.0f} us of the driver for a run in the first quarter, "
            f"{1000 * late:.0f} in the last; {before / 2**20:.0f} and {after / 2**20:.0f} MiB"
        )
    assert ray.most == 50
    assert late <= 1.5 * early
    assert after - before <= 20 * 2**20


def test_empty_runs_on_many_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with several_nodes(monkeypatch, NODES) as nodes:
        watcher = Clocks()
        jobs = [Job(spec=spec(seed), suite="s") for seed in range(RUNS)]
        result = launch(
            jobs,
            Store(tmp_path),
            address=nodes.address,
            suite="s",
            progress=watcher,
            executor="symbench_test_executors:nothing",
        )
    assert len(set(result.succeeded)) == RUNS
    (first, early, before), (last, late, after) = watcher.quarter(0), watcher.quarter(3)
    with capsys.disabled():
        print(
            f"\n{RUNS} empty runs on {NODES} nodes: {1000 / first:.0f} a second in the first "
            f"quarter, {1000 / last:.0f} in the last; {early:.1f} and {late:.1f} ms of the driver for each; "
            f"{before / 2**20:.0f} and {after / 2**20:.0f} MiB"
        )
    assert late <= 1.5 * early
    assert after - before <= 32 * 2**20
