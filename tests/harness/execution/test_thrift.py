"""A run that fills the device's memory goes on with smaller chunks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.execution.perform import Executor, perform
from harness.records.store import Store
from harness.spec import Job, Resources, RunSpec
from harness.training.execute import execute
from harness.training.outcome import Hooks, Outcome
from tests.harness.training.small_problems import particles_spec

MakeJob = Callable[..., Job]


def device_with_room_for(most: int, tried: list[int | None]) -> Executor:
    """Runs on a device that ``most`` group samples at a time fill; it is full once two epochs are logged."""

    def run(spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None) -> Outcome:
        tried.append(resources.chunk)
        if resources.chunk is None or resources.chunk > most:
            for step in range(2):
                hooks.log(step, {"train/loss": 7.0})
            raise torch.OutOfMemoryError("out of memory")
        return execute(spec, resources=resources, hooks=hooks, checkpoint=checkpoint)

    return run


@pytest.mark.usefixtures("generated_data")
def test_the_chunk_is_halved_until_it_fits_and_the_numbers_stay(tmp_path: Path) -> None:
    job = Job(spec=particles_spec("gnn-haar", train_samples=8, test_samples=9, precision="float64"), suite="tests")
    tried: list[int | None] = []
    store, reference = Store(tmp_path / "small"), Store(tmp_path / "large")
    found = perform(job, store, None, execute=device_with_room_for(2, tried))
    expected = perform(job, reference, None)
    assert tried == [None, 4, 2]
    assert found.notes == ("memory was full: 2 group samples at a time instead of all",)
    assert found.metrics == pytest.approx(dict(expected.metrics), rel=1e-9)
    columns = ["step", "name"]
    assert store.history(job.spec.digest).select(columns).equals(reference.history(job.spec.digest).select(columns))
    assert 7.0 not in store.history(job.spec.digest)["value"].to_list()
    assert "goes on with chunk 4" in store.log_path(job.spec.digest).read_text()


def test_one_sample_at_a_time_that_is_too_much_fails(tmp_path: Path, job: MakeJob) -> None:
    tried: list[int | None] = []
    run = job(resources=Resources(chunk=5))
    record = perform(run, Store(tmp_path), None, execute=device_with_room_for(0, tried))
    assert tried == [5, 2, 1]
    assert record.failure is not None
    assert record.failure.sentence == "OutOfMemoryError: out of memory"
