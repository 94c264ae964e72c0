"""Launches on a cluster that loses a node: every run has one record, as if nothing had been."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.execution.launch import launch
from harness.execution.run_job import run_job
from harness.records.store import Store
from harness.spec import Job, RunSpec
from tasks.protocol import Protocol
from tests.cluster.nodes import Nodes
from tests.harness.training.small_problems import particles_spec


class Watcher:
    """Progress that counts, and does something once when it has seen enough."""

    def __init__(self, enough: Callable[[], bool] = lambda: False, act: Callable[[], None] = lambda: None) -> None:
        self.starts: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.notes: list[str] = []
        self._patrol = threading.Thread(target=self._watch, args=(enough, act), daemon=True)
        self._patrol.start()

    def _watch(self, enough: Callable[[], bool], act: Callable[[], None]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if enough():
                return act()
            time.sleep(0.02)

    def begin(self, todo: int, done: int) -> None: ...

    def started(self, job: Job) -> None:
        self.starts[job.spec.digest] += 1

    def finished(self, job: Job, status: str, sentence: str | None) -> None:
        self.ends[job.spec.digest] += 1

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None: ...


def slow_run(seed: int) -> Job:
    spec = RunSpec(
        task="graph8c",
        task_version="1",
        method="gin",
        method_version="1",
        sampler={"act": "sleep", "seconds": 0.4},
        seed=seed,
        protocol="quick",
        settings=Protocol(),
    )
    return Job(spec=spec, suite="tests")


def test_every_run_of_a_launch_that_loses_a_node_has_one_record(nodes: Nodes, tmp_path: Path) -> None:
    store, jobs = Store(tmp_path), [slow_run(seed) for seed in range(30)]
    watcher = Watcher(enough=lambda: len(store.statuses()) >= 6, act=nodes.kill)
    result = launch(
        jobs, store, address=nodes.address, suite="tests", progress=watcher, executor="symbench_test_executors:act"
    )
    digests = {job.spec.digest for job in jobs}
    assert len(nodes.up) == 2
    assert sorted(result.succeeded) == sorted(digests)
    assert store.statuses() == dict.fromkeys(digests, "succeeded")
    assert watcher.ends == dict.fromkeys(digests, 1)
    assert watcher.starts.total() <= len(jobs) + 2
    assert sum(path.suffix == ".json" for path in (tmp_path / "records").iterdir()) == len(jobs)


@pytest.mark.usefixtures("generated_data")
def test_a_run_whose_node_dies_goes_on_from_its_checkpoint_to_the_same_numbers(nodes: Nodes, tmp_path: Path) -> None:
    store, jobs = (
        Store(tmp_path / "store"),
        [Job(spec=particles_spec("gnn-ps", seed, epochs=10), suite="tests") for seed in range(3)],
    )
    checkpoints = [store.checkpoint_path(job.spec.digest) for job in jobs]
    watcher = Watcher(enough=lambda: all(path.exists() for path in checkpoints), act=nodes.kill)
    executor = "symbench_cluster_executors:careful"
    result = launch(jobs, store, address=nodes.address, suite="tests", progress=watcher, executor=executor)
    assert len(nodes.up) == 2 and len(result.succeeded) == 3
    assert sorted(watcher.starts.values()) == [1, 1, 2]
    again = next(job for job in jobs if watcher.starts[job.spec.digest] == 2)
    assert "resumed at epoch" in store.log_path(again.spec.digest).read_text()
    threads = torch.get_num_threads()
    try:
        for job in jobs:
            expected = run_job(job, Store(tmp_path / "quiet"), None)
            record = store.read(job.spec.digest)
            assert record is not None and record.metrics == expected.metrics and record.curve == expected.curve
            columns = ["step", "name", "value"]
            history = Store(tmp_path / "quiet").history(job.spec.digest).select(columns)
            assert store.history(job.spec.digest).select(columns).equals(history)
    finally:
        torch.set_num_threads(threads)
    assert not any(path.exists() for path in checkpoints)
