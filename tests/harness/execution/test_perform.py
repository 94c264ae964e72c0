"""One run in this process: its record, its log, and what may not stop it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch

from harness.errors import SymbenchError
from harness.execution.perform import perform, sentence_of
from harness.records.history import HistoryRow
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job, Resources, RunSpec
from harness.training.outcome import CurvePoint, Hooks, Outcome

MakeJob = Callable[..., Job]


class Tracker:
    """Remembers, or breaks where it is told to."""

    def __init__(self, breaks: str = "") -> None:
        self.breaks = breaks
        self.logged: list[tuple[int, Mapping[str, float]]] = []
        self.finished: list[tuple[Record, Mapping[str, str]]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.logged.append((step, values))
        if self.breaks == "log":
            raise OSError("no route to MLflow")

    def finish(self, record: Record, artifacts: Mapping[str, str]) -> None:
        self.finished.append((record, artifacts))
        if self.breaks == "finish":
            raise OSError("no route to MLflow")


def good(spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None) -> Outcome:
    for step in range(3):
        hooks.log(step, {"loss": 1.0 / (step + 1)})
    logging.getLogger("some.method").info("an informative line")
    warnings.warn("a doubtful value", stacklevel=1)
    point = CurvePoint(samples=1, value=0.5, value_error=0.1, variance=0.2)
    metrics = {"unseparated": 3.0, "threads": torch.get_num_threads()}
    return Outcome(metrics=metrics, curve=(point,), cost={"parameters": 5}, notes=("a note",))


def bad(spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None) -> Outcome:
    hooks.log(0, {"loss": 9.0})
    raise ValueError("this run is\nbroken")


def test_a_run_leaves_record_history_and_log(tmp_path: Path, job: MakeJob) -> None:
    store, tracker = Store(tmp_path), Tracker()
    run = job()
    record = perform(run, store, tracker, execute=good, command=["symbench", "run"])
    assert store.read(run.spec.digest) == record
    assert (record.status, record.suite, record.failure) == ("succeeded", "tests", None)
    assert record.metrics["unseparated"] == 3.0
    assert record.curve[0].variance == 0.2
    assert record.description.group == "S_n"
    assert record.description.base_model == "gin"
    assert record.provenance["command"] == ["symbench", "run"]
    assert record.started <= record.finished
    history = store.history(run.spec.digest)
    assert history.select("step", "name", "value").rows() == [(0, "loss", 1.0), (1, "loss", 0.5), (2, "loss", 1 / 3)]
    log = store.log_path(run.spec.digest).read_text()
    assert "an informative line" in log
    assert "a doubtful value" in log
    assert [step for step, _ in tracker.logged] == [0, 1, 2]
    assert [kept for kept, _ in tracker.finished] == [record]
    assert tracker.finished[0][1]["run.log"] == log


def test_logging_is_afterwards_as_before(tmp_path: Path, job: MakeJob) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), warnings.showwarning)
    perform(job(), Store(tmp_path), None, execute=good)
    perform(job(seed=1), Store(tmp_path), None, execute=bad)
    assert (root.level, list(root.handlers), warnings.showwarning) == before


def test_a_run_that_raises_becomes_a_failed_record(tmp_path: Path, job: MakeJob) -> None:
    store, tracker = Store(tmp_path), Tracker()
    record = perform(job(), store, tracker, execute=bad)
    assert record.failure is not None
    assert record.failure.sentence == "ValueError: this run is"
    assert 'raise ValueError("this run is\\nbroken")' in record.failure.traceback
    assert store.statuses() == {record.digest: "failed"}
    assert store.history(record.digest)["value"].to_list() == [9.0]
    assert "broken" in store.log_path(record.digest).read_text()
    assert len(tracker.finished) == 1


def test_the_checkpoint_goes_once_the_record_is_kept(tmp_path: Path, job: MakeJob) -> None:
    store, run = Store(tmp_path), job()
    checkpoint = store.checkpoint_path(run.spec.digest)

    def leaves_a_checkpoint(spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None) -> Outcome:
        assert checkpoint is not None
        checkpoint.write_bytes(b"state")
        return Outcome(metrics={"unseparated": 0.0})

    with pytest.MonkeyPatch.context() as full_disk:
        full_disk.setattr(Store, "write", _no_space)
        with pytest.raises(SymbenchError, match="disk is full"):
            perform(run, store, None, execute=leaves_a_checkpoint)
    assert checkpoint.exists()
    perform(run, store, None, execute=leaves_a_checkpoint)
    assert not checkpoint.exists()


def _no_space(store: Store, record: Record, history: Sequence[HistoryRow]) -> None:
    raise SymbenchError("The disk is full.")


@pytest.mark.parametrize("breaks", ["log", "finish"])
def test_a_broken_tracker_stops_nothing(
    tmp_path: Path, job: MakeJob, breaks: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, tracker = Store(tmp_path), Tracker(breaks)
    record = perform(job(), store, tracker, execute=good)
    assert store.statuses() == {record.digest: "succeeded"}
    assert store.history(record.digest).height == 3
    assert len(tracker.logged) == (1 if breaks == "log" else 3)
    assert "goes on without it" in caplog.text


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_result(tmp_path: Path, job: MakeJob, interrupt: type[BaseException]) -> None:
    def stop(spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None) -> Outcome:
        raise interrupt

    store = Store(tmp_path)
    with pytest.raises(interrupt):
        perform(job(), store, None, execute=stop)
    assert store.statuses() == {}


def test_each_run_gets_the_threads_it_is_granted(tmp_path: Path, job: MakeJob) -> None:
    before = torch.get_num_threads()
    try:
        for cpus, threads in ((2.0, 2), (0.5, 1), (3.0, 3)):
            record = perform(job(resources=Resources(cpus=cpus)), Store(tmp_path), None, execute=good)
            assert record.metrics["threads"] == threads
            assert record.provenance["threads"] == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore:a doubtful value")
def test_a_run_whose_log_cannot_be_written_still_runs(tmp_path: Path, job: MakeJob) -> None:
    store, run = Store(tmp_path), job()
    store.log_path(run.spec.digest).mkdir()
    assert perform(run, store, None, execute=good).status == "succeeded"


def test_a_record_that_cannot_be_written_is_no_silent_success(tmp_path: Path, job: MakeJob) -> None:
    store = Store(tmp_path)

    def then_the_store_vanishes(
        spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None
    ) -> Outcome:
        (tmp_path / "histories").rmdir()
        return Outcome(metrics={})

    with pytest.raises(SymbenchError, match="cannot be written"):
        perform(job(), store, None, execute=then_the_store_vanishes)
    assert store.statuses() == {}


def test_sentences() -> None:
    assert sentence_of(SymbenchError("Do\nthis.")) == "Do this."
    assert sentence_of(KeyError()) == "KeyError"
    assert len(sentence_of(ValueError("x" * 10_000))) == 300
