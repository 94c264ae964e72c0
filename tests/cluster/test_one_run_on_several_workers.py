"""One run on two processes by Ray Train: the numbers of one process, also when one of the two dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from harness.execution.cluster import cluster
from harness.execution.launch import LaunchResult, launch_here
from harness.execution.run_job import run_job
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job, Resources
from harness.trained.loading import load
from tests.cluster.nodes import FOLDER
from tests.cluster.test_nodes_that_die import Watcher
from tests.harness.training.small_problems import particles_spec

CAREFUL = "symbench_cluster_executors:careful"
TOGETHER = Resources(workers=2, cpus=0.5, keep_weights=True)


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{FOLDER}:{FOLDER.parents[1]}")
        patch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        with cluster(None):
            yield


@pytest.fixture
def store(tmp_path: Path, ray_up: None, generated_data: Path) -> Store:
    return Store(tmp_path / "store")


def go(job: Job, store: Store, executor: str = CAREFUL) -> LaunchResult:
    return launch_here([job], store, suite="tests", progress=Watcher(), executor=executor)


def assert_as_alone(job: Job, record: Record | None, folder: Path) -> None:
    threads = torch.get_num_threads()
    try:
        expected = run_job(Job(spec=job.spec, suite="tests"), Store(folder), None)
    finally:
        torch.set_num_threads(threads)
    assert record is not None and record.failure is None
    assert record.metrics == pytest.approx(dict(expected.metrics), rel=1e-6)
    assert [point.value for point in record.curve] == pytest.approx([point.value for point in expected.curve])


def test_a_run_whose_second_process_dies_goes_on_to_the_numbers_of_one(store: Store, tmp_path: Path) -> None:
    job = Job(spec=particles_spec("egnn", epochs=8, precision="float64"), suite="tests", resources=TOGETHER)
    checkpoint, killed = store.checkpoint_path(job.spec.digest), []

    def kill_one() -> None:
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        trained_by = [one for one in psutil.Process().children(recursive=True) if "RayTrainWorker" in one.name()]
        killed.extend(trained_by[-1:])
        for process in killed:
            process.kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    result = go(job, store)
    killer.join()
    assert len(killed) == 1 and result.succeeded == [job.spec.digest]
    record = store.read(job.spec.digest)
    assert_as_alone(job, record, tmp_path / "alone")
    assert record is not None and record.weights is not None
    scores = load(record.digest, store.root).score()
    assert scores == pytest.approx({name: record.metrics[name] for name in scores}, rel=1e-6)
    assert "resumed at epoch" in store.log_path(job.spec.digest).read_text()
    history = store.history(job.spec.digest)
    assert history.filter(history["name"] == "train/loss")["step"].to_list() == list(range(8))


def test_what_fails_in_every_process_is_one_failed_record(store: Store) -> None:
    job = Job(spec=particles_spec("gnn-ga", batch_size=13), suite="tests", resources=TOGETHER)
    says = "ValueError: A batch of 1 examples cannot be shared by 2 workers"
    assert go(job, store).failed[job.spec.digest].startswith(says)
    record = store.read(job.spec.digest)
    assert record is not None and record.failure is not None


def test_memory_that_is_full_in_one_process_is_said(store: Store) -> None:
    job = Job(spec=particles_spec("gnn-ga", epochs=1), suite="tests", resources=TOGETHER)
    said = go(job, store, "symbench_cluster_executors:full").failed[job.spec.digest]
    assert said == "The device's memory is full: set resources.chunk, or halve it."
