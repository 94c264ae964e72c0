"""A run on a device that is out of memory: training starts again with fewer samples at a time, evaluation goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.execution.run_job import Executor, run_job
from harness.records.store import Store
from harness.spec import Job, Resources, RunSpec
from harness.training.context import RunContext
from harness.training.execute import execute
from harness.training.results import Outcome
from tests.harness.training.small_device import with_room_for
from tests.harness.training.small_problems import particles_spec

MakeJob = Callable[..., Job]


def device_with_room_for(most: int, tried: list[int | None]) -> Executor:
    """Trains on a device that ``most`` group samples at a time fill; it is full once two epochs are logged."""

    def run(spec: RunSpec, context: RunContext) -> Outcome:
        tried.append(context.chunk)
        if context.chunk is None or context.chunk > most:
            for step in range(2):
                context.hooks.log(step, {"train/loss": 7.0})
            raise torch.OutOfMemoryError("out of memory")
        return execute(spec, context)

    return run


def particles(method: str = "gnn-ga", **settings: object) -> Job:
    counts = {"train_samples": 8, "valid_samples": 11, "test_samples": 9, "precision": "float64"}
    return Job(spec=particles_spec(method, **{**counts, **settings}), suite="tests")


@pytest.mark.usefixtures("generated_data")
def test_training_starts_again_with_half_its_samples_until_it_fits_and_the_numbers_stay(tmp_path: Path) -> None:
    job, tried = particles(), []
    store, reference = Store(tmp_path / "small"), Store(tmp_path / "large")
    found = run_job(job, store, None, execute=device_with_room_for(2, tried))
    expected = run_job(job, reference, None)
    assert tried == [None, 4, 2]  # whatever number evaluation takes
    assert found.notes == ("out of memory in training: chunk 2 instead of all samples",)
    assert found.metrics == pytest.approx(dict(expected.metrics), rel=1e-9)
    columns = ["step", "name"]
    assert store.history(job.spec.digest).select(columns).equals(reference.history(job.spec.digest).select(columns))
    assert 7.0 not in store.history(job.spec.digest)["value"].to_list()
    assert "starts again with chunk 4" in store.log_path(job.spec.digest).read_text()


@pytest.mark.usefixtures("generated_data")
def test_evaluation_goes_on_with_fewer_samples_and_nothing_is_trained_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, starts, evaluated = particles(), [], with_room_for(3, monkeypatch)
    store = Store(tmp_path / "small")

    def once(spec: RunSpec, context: RunContext) -> Outcome:
        starts.append(context.chunk)
        return execute(spec, context)

    found = run_job(job, store, None, execute=once)
    assert starts == [None]
    assert [size for size in evaluated if size > 3] == [11, 5]  # what was too much once is not tried again
    assert found.notes == ("out of memory in evaluation: chunk 2 instead of all samples",)
    assert "evaluation continues with 2 group samples at a time" in store.log_path(job.spec.digest).read_text()
    monkeypatch.undo()
    expected = run_job(job, Store(tmp_path / "large"), None)
    assert found.metrics == pytest.approx(dict(expected.metrics), rel=1e-9)
    assert [point.value for point in found.curve] == pytest.approx([p.value for p in expected.curve], rel=1e-9)


@pytest.mark.parametrize(
    ("chunk", "settings", "tries"), [(5, {}, [5, 2, 1]), (None, {"train_samples": 1}, [None]), (20, {}, [20, 4, 2, 1])]
)
def test_one_sample_at_a_time_that_is_too_much_fails(
    tmp_path: Path, chunk: int | None, settings: dict[str, int], tries: list[int | None]
) -> None:
    tried: list[int | None] = []
    run = Job(spec=particles(**settings).spec, suite="tests", resources=Resources(chunk=chunk))
    record = run_job(run, Store(tmp_path), None, execute=device_with_room_for(0, tried))
    assert tried == tries
    assert record.failure is not None
    assert record.failure.sentence == "OutOfMemoryError: out of memory"


@pytest.mark.parametrize(("method", "settings"), [("egnn", {}), ("gnn-ga", {"epochs": 0})])
def test_nothing_starts_again_where_fewer_samples_in_training_would_change_nothing(
    tmp_path: Path, method: str, settings: dict[str, int]
) -> None:
    tried: list[int | None] = []
    assert run_job(particles(method, **settings), Store(tmp_path), None, execute=device_with_room_for(0, tried)).failure
    assert tried == [None]


@pytest.mark.usefixtures("generated_data")
def test_a_batch_of_evaluation_that_is_too_much_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, starts = with_room_for(0, monkeypatch), []

    def once(spec: RunSpec, context: RunContext) -> Outcome:
        starts.append(context.chunk)
        return execute(spec, context)

    record = run_job(particles(epochs=1), Store(tmp_path), None, execute=once)
    assert record.failure is not None
    assert "a batch of evaluation does not fit into the device's memory" in record.failure.sentence
    assert starts == [None] and tried == [11, 5, 2, 1]
