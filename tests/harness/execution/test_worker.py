"""What a worker does with the jobs that it is handed, alone, in a stack and with others (no Ray)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import registry
from harness.errors import ClusterError
from harness.execution import data_parallel
from harness.execution import job_runner as running
from harness.execution.job_runner import JobRunner
from harness.execution.messages import RunResult, WorkerConfig
from harness.execution.run_job import failed_record
from harness.execution.worker import Worker
from harness.plugins.plugin_file import PluginFile
from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.spec import Job, Resources
from harness.training.device_errors import DeviceFailed
from tests.plugin_files import NETWORK, forgotten

MakeJob = Callable[..., Job]


def ended(job: Job, sentence: str | None = None) -> Record:
    record = failed_record(job, Failure(sentence=sentence or ""))
    return record if sentence else replace(record, status="succeeded", failure=None)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_jobs_that_are_handed_out_together_are_trained_together(
    count: int, tmp_path: Path, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []

    def alone(one: Job, *words: Any, **options: Any) -> Record:
        calls.append(("alone", 1))
        return ended(one, "It broke." if one.spec.seed == 0 else None)

    def stacked(jobs: Any, *words: Any, **options: Any) -> list[Record]:
        calls.append(("stacked", len(jobs)))
        return [ended(one, "It broke." if one.spec.seed == 0 else None) for one in jobs]

    monkeypatch.setattr(running, "run_job", alone)
    monkeypatch.setattr(running, "run_stack", stacked)
    config = WorkerConfig(root=tmp_path, launch_id="one", executor="json:loads", command=["symbench"])
    endings = Worker(config).run([job(seed=seed) for seed in reversed(range(count))])
    assert calls == [("alone", 1) if count == 1 else ("stacked", count)]
    assert endings[-1] == RunResult(status="failed", sentence="It broke.")
    assert endings[:-1] == [RunResult(status="succeeded", sentence=None)] * (count - 1)


@pytest.mark.parametrize(
    ("granted", "each", "backend"),
    [
        (Resources(cpus=2, workers=3), {"CPU": 2}, "gloo"),
        (Resources(gpus=1, memory=2**30, workers=2), {"CPU": 1, "GPU": 1, "memory": 2.0**30}, "nccl"),
    ],
)
def test_processes_of_one_run_are_granted_what_it_asks_for_each_of_them(
    granted: Resources,
    each: dict[str, float],
    backend: str,
    tmp_path: Path,
    job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}
    store, run = Store(tmp_path), job(resources=granted)

    class Trainer:
        def __init__(self, loop: Any, **options: Any) -> None:
            given.update(options)

        def fit(self) -> None:
            store.write(ended(run), [])

    monkeypatch.setattr("ray.train.torch.TorchTrainer", Trainer)
    config = WorkerConfig(root=tmp_path, launch_id="one", executor="json:loads", command=[])
    assert data_parallel.run_data_parallel(run, JobRunner(config)).status == "succeeded"
    scaling = given["scaling_config"]
    assert (scaling.num_workers, scaling.use_gpu) == (granted.workers, granted.gpus > 0)
    assert scaling.resources_per_worker == each and given["torch_config"].backend == backend
    assert given["train_loop_config"] == {"job": run, "config": config}
    assert given["run_config"].failure_config.max_failures == data_parallel.RESTARTS == 2


def test_a_device_that_failed_is_said_although_it_gives_no_memory_back(
    tmp_path: Path, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise DeviceFailed("CUDA error: unspecified launch failure")

    def frees_nothing() -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", frees_nothing)
    monkeypatch.setattr(JobRunner, "run", fails)
    worker = Worker(WorkerConfig(root=tmp_path, launch_id="one", executor="json:loads", command=[]))
    with pytest.raises(DeviceFailed):
        worker.run([job()])


def test_a_worker_knows_what_the_files_of_the_driver_register_before_anything_else(tmp_path: Path) -> None:
    Store(tmp_path).write_launch("one", {})
    config = WorkerConfig(root=tmp_path, launch_id="one", executor="symbench_test_no_such_module:run", command=[])
    file = PluginFile(path="/elsewhere/my_net.py", content=NETWORK.encode())
    with forgotten():
        with pytest.raises(ModuleNotFoundError, match="symbench_test_no_such_module"):
            Worker(replace(config, plugin_files=[file])).start()
        assert registry.is_method("mine") and registry.files() == (file,)
        needing = PluginFile(path="/elsewhere/needs.py", content=b"import symbench_test_nothing")
        with pytest.raises(ClusterError, match=r"^On the node .*: The plug-in file .*needs\.py cannot be used"):
            Worker(replace(config, plugin_files=[file, needing])).start()
