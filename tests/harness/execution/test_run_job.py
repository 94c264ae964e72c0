"""One run in this process: its record, its log, and what may not stop it."""

from __future__ import annotations

import logging
import mmap
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import SymbenchError
from harness.execution import run_job as performing
from harness.execution.run_job import failed_record, run_job, run_stack, sentence_of
from harness.records.history import HistoryRow
from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.spec import Job, Resources, RunSpec
from harness.training.context import Executor, RunContext
from harness.training.device_errors import DeviceFailed, MemoryFull
from harness.training.results import CurvePoint, NotStacked, Outcome

MakeJob = Callable[..., Job]


class Tracker:
    """Remembers, or breaks where it is asked to."""

    def __init__(self, breaks: str = "") -> None:
        self.breaks = breaks
        self.logged: list[tuple[int, Mapping[str, float]]] = []
        self.finished: list[tuple[Record, Mapping[str, str]]] = []
        self.abandoned = False

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.logged.append((step, values))
        if self.breaks == "log":
            raise OSError("no route to MLflow")

    def finish(self, record: Record, artifacts: Mapping[str, str]) -> None:
        self.finished.append((record, artifacts))
        if self.breaks == "finish":
            raise OSError("no route to MLflow")

    def abandon(self) -> None:
        self.abandoned = True
        if self.breaks == "abandon":
            raise OSError("no route to MLflow")


def good(spec: RunSpec, context: RunContext) -> Outcome:
    for step in range(3):
        context.hooks.log(step, {"loss": 1.0 / (step + 1)})
    logging.getLogger("some.method").info("an informative line")
    warnings.warn("a doubtful value", stacklevel=1)
    point = CurvePoint(samples=1, value=0.5, value_error=0.1, variance=0.2)
    metrics = {"unseparated": 3.0, "threads": torch.get_num_threads()}
    return Outcome(metrics=metrics, curve=(point,), cost={"parameters": 5}, notes=("a note",))


def bad(spec: RunSpec, context: RunContext) -> Outcome:
    context.hooks.log(0, {"loss": 9.0})
    raise ValueError("this run is\nbroken")


def test_a_run_leaves_record_history_and_log(tmp_path: Path, job: MakeJob) -> None:
    store, tracker = Store(tmp_path), Tracker()
    run = job()
    record = run_job(run, store, tracker, execute=good, command=["symbench", "run"])
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


def test_weights_are_kept_beside_the_record_if_they_are_wanted(tmp_path: Path, job: MakeJob) -> None:
    asked: list[bool] = []

    def with_weights(spec: RunSpec, context: RunContext) -> Outcome:
        asked.append(context.keep_weights)
        return Outcome(metrics={}, weights={"a": torch.arange(3.0)} if context.keep_weights else None)

    store = Store(tmp_path)
    kept = run_job(job(resources=Resources(keep_weights=True)), store, None, execute=with_weights)
    other = run_job(job(seed=1), store, None, execute=with_weights)
    assert asked == [True, False]
    assert kept.weights is not None and other.weights is None and kept.notes == other.notes == ()
    (path,) = (tmp_path / "weights").iterdir()
    assert (path, path.stat().st_size) == (store.weights_path(kept.weights), kept.weights.bytes)
    assert store.read(kept.digest) == kept and kept.weights.load(path)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("execute", "note"), [(good, "No weights were kept: a run on graph8c has"), (bad, None)])
def test_a_run_without_a_model_notes_it(tmp_path: Path, job: MakeJob, execute: Executor, note: str | None) -> None:
    record = run_job(job(resources=Resources(keep_weights=True)), Store(tmp_path), None, execute=execute)
    assert record.weights is None and not list((tmp_path / "weights").iterdir())
    assert [text for text in record.notes if text.startswith(note or "No weights")] == list(record.notes[1:])


def test_logging_is_afterwards_as_before(tmp_path: Path, job: MakeJob) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), warnings.showwarning)
    run_job(job(), Store(tmp_path), None, execute=good)
    run_job(job(seed=1), Store(tmp_path), None, execute=bad)
    assert (root.level, list(root.handlers), warnings.showwarning) == before


def test_a_run_that_raises_becomes_a_failed_record(tmp_path: Path, job: MakeJob) -> None:
    store, tracker = Store(tmp_path), Tracker()
    record = run_job(job(), store, tracker, execute=bad)
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

    def leaves_a_checkpoint(spec: RunSpec, context: RunContext) -> Outcome:
        assert context.checkpoint is not None
        context.checkpoint.path.write_bytes(b"state")
        return Outcome(metrics={"unseparated": 0.0})

    with pytest.MonkeyPatch.context() as full_disk:
        full_disk.setattr(Store, "write", _no_space)
        with pytest.raises(SymbenchError, match="disk is full"):
            run_job(run, store, None, execute=leaves_a_checkpoint)
    assert checkpoint.exists()
    run_job(run, store, None, execute=leaves_a_checkpoint)
    assert not checkpoint.exists()


def _no_space(store: Store, record: Record, history: Sequence[HistoryRow], weights: bytes) -> None:
    raise SymbenchError("The disk is full.")


@pytest.mark.parametrize("breaks", ["log", "finish"])
def test_a_broken_tracker_stops_nothing(
    tmp_path: Path, job: MakeJob, breaks: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, tracker = Store(tmp_path), Tracker(breaks)
    record = run_job(job(), store, tracker, execute=good)
    assert store.statuses() == {record.digest: "succeeded"}
    assert store.history(record.digest).height == 3
    assert len(tracker.logged) == (1 if breaks == "log" else 3)
    assert "continues without it" in caplog.text


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_result(tmp_path: Path, job: MakeJob, interrupt: type[BaseException]) -> None:
    def stop(spec: RunSpec, context: RunContext) -> Outcome:
        raise interrupt

    store = Store(tmp_path)
    with pytest.raises(interrupt):
        run_job(job(), store, None, execute=stop)
    assert store.statuses() == {}


def test_each_run_gets_the_threads_it_is_granted(tmp_path: Path, job: MakeJob) -> None:
    before = torch.get_num_threads()
    try:
        for cpus, threads in ((2.0, 2), (0.5, 1), (3.0, 3)):
            record = run_job(job(resources=Resources(cpus=cpus)), Store(tmp_path), None, execute=good)
            assert record.metrics["threads"] == threads
            assert record.provenance["threads"] == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("gpus", "share"), [(0.25, 0.25), (1.0, 1.0), (0.0, None)])
def test_each_run_gets_the_share_of_the_memory_of_its_gpu(
    tmp_path: Path, job: MakeJob, gpus: float, share: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", set_to.append)
    run_job(job(resources=Resources(gpus=gpus)), Store(tmp_path), None, execute=good)
    assert set_to == ([] if share is None else [share])


BROKEN_DEVICES = [
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
]


@pytest.mark.parametrize("error", BROKEN_DEVICES)
def test_a_run_whose_device_failed_has_no_record_and_keeps_its_checkpoint(
    tmp_path: Path, job: MakeJob, error: Exception
) -> None:
    def fails(spec: RunSpec, context: RunContext) -> Outcome:
        assert context.checkpoint is not None
        context.checkpoint.path.write_bytes(b"state")
        raise error

    store = Store(tmp_path)
    with pytest.raises(DeviceFailed, match=re.escape(sentence_of(error))):
        run_job(job(), store, None, execute=fails)
    assert store.statuses() == {} and store.checkpoint_path(job().spec.digest).exists()


@pytest.mark.parametrize("error", [MemoryFull("It is full."), DeviceFailed("It failed.")])
def test_what_the_other_processes_of_a_run_have_to_know_is_no_record(
    tmp_path: Path, job: MakeJob, error: Exception
) -> None:
    def fails(spec: RunSpec, context: RunContext) -> Outcome:
        raise error

    store = Store(tmp_path)
    with pytest.raises(type(error)) as raised:
        run_job(job(), store, None, execute=fails)
    assert raised.value is error and store.statuses() == {}


@pytest.mark.parametrize("error", BROKEN_DEVICES)
@pytest.mark.parametrize("raised", [True, False])
def test_a_stack_whose_device_failed_has_no_record(
    tmp_path: Path, job: MakeJob, error: Exception, raised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **kwargs: Any) -> list[Exception]:
        if raised:
            raise error
        return [ValueError("an odd run"), error]

    monkeypatch.setattr(performing, "execute_stack", fails)
    store = Store(tmp_path)
    with pytest.raises(DeviceFailed, match=re.escape(sentence_of(error))):
        run_stack([job(seed=0), job(seed=1)], store, lambda job: None)
    assert store.statuses() == {}


@pytest.mark.parametrize("breaks", ["", "abandon"])
def test_a_stack_that_is_taken_apart_has_no_record_and_its_mirrors_end(
    tmp_path: Path, job: MakeJob, breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(specs: Sequence[RunSpec], contexts: Sequence[RunContext]) -> list[Outcome]:
        for context in contexts[:2]:
            context.hooks.log(0, {"loss": 1.0})
        raise NotStacked("one of them is odd")

    monkeypatch.setattr(performing, "execute_stack", fails)
    trackers: dict[int, Tracker] = {}
    store = Store(tmp_path)
    with pytest.raises(NotStacked):
        jobs = [job(seed=seed) for seed in range(3)]
        run_stack(jobs, store, lambda job: trackers.setdefault(job.spec.seed, Tracker(breaks)))
    assert store.statuses() == {}
    assert {seed: (one.abandoned, one.finished) for seed, one in trackers.items()} == {0: (True, []), 1: (True, [])}


@pytest.mark.filterwarnings("ignore:a doubtful value")
def test_a_run_whose_log_cannot_be_written_still_runs(tmp_path: Path, job: MakeJob) -> None:
    store, run = Store(tmp_path), job()
    store.log_path(run.spec.digest).mkdir()
    assert run_job(run, store, None, execute=good).status == "succeeded"


def test_a_record_that_cannot_be_written_is_no_silent_success(tmp_path: Path, job: MakeJob) -> None:
    store = Store(tmp_path)

    def then_the_store_vanishes(spec: RunSpec, context: RunContext) -> Outcome:
        (tmp_path / "histories").rmdir()
        return Outcome(metrics={})

    with pytest.raises(SymbenchError, match="cannot be written"):
        run_job(job(), store, None, execute=then_the_store_vanishes)
    assert store.statuses() == {}


def test_sentences() -> None:
    assert sentence_of(SymbenchError("Do\nthis.")) == "Do this."
    assert sentence_of(KeyError()) == "KeyError"
    assert len(sentence_of(ValueError("x" * 10_000))) == 300


def test_a_record_says_when_its_run_began_and_ended_and_how_long_it_took(
    tmp_path: Path, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(performing.time, "monotonic", lambda: clock[0])
    before = datetime.now(UTC)

    def slow(spec: RunSpec, context: RunContext) -> Outcome:
        time.sleep(0.05)
        clock[0] += 30
        return Outcome(metrics={})

    record = run_job(job(), Store(tmp_path), None, execute=slow)
    started, finished = (datetime.fromisoformat(moment) for moment in (record.started, record.finished))
    assert started.utcoffset() == finished.utcoffset() == timedelta(0)
    assert before - timedelta(milliseconds=1) <= started <= finished - timedelta(milliseconds=50)
    assert finished <= datetime.now(UTC)
    assert record.provenance["wall_seconds"] == 30.0


def test_runs_of_a_stack_share_its_time(tmp_path: Path, job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(performing.time, "monotonic", lambda: clock[0])

    def train(specs: Sequence[RunSpec], contexts: Sequence[RunContext]) -> list[Outcome]:
        clock[0] += 30
        return [Outcome(metrics={"unseparated": float(spec.seed)}) for spec in specs]

    monkeypatch.setattr(performing, "execute_stack", train)
    records = run_stack([job(seed=seed) for seed in (4, 2, 3)], Store(tmp_path), lambda job: None)
    assert [(record.spec.seed, record.metrics["unseparated"]) for record in records] == [(4, 4.0), (2, 2.0), (3, 3.0)]
    assert [record.provenance["wall_seconds"] for record in records] == [10.0] * 3


def test_of_a_long_log_its_end_is_mirrored(tmp_path: Path, job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performing, "LOG_CHARACTERS", 200)
    tracker = Tracker()

    def talkative(spec: RunSpec, context: RunContext) -> Outcome:
        for line in range(50):
            logging.getLogger("some.method").info("line %d", line)
        raise ValueError("the last word")

    run_job(job(), Store(tmp_path), tracker, execute=talkative)
    log = tracker.finished[0][1]["run.log"]
    assert len(log) == 200 and log.strip().endswith("ValueError: the last word")


def test_the_memory_of_a_run_is_none_of_the_run_before(tmp_path: Path, job: MakeJob) -> None:
    def holding(megabytes: int) -> Executor:
        def run(spec: RunSpec, context: RunContext) -> Outcome:
            with mmap.mmap(-1, megabytes * 2**20) as memory:  # no memory that was freed before serves for it
                memory.write(bytes(len(memory)))
            return Outcome(metrics={})

        return run

    peaks = [
        run_job(job(), Store(tmp_path), None, execute=holding(megabytes)).provenance["peak_rss_bytes"]
        for megabytes in (300, 1)
    ]
    assert peaks[0] - peaks[1] > 200 * 2**20


def test_a_failed_record_of_another_process_says_when_its_run_began(job: MakeJob) -> None:
    failure = Failure(sentence="Its process died.")
    known = failed_record(job(), failure, started="2026-03-01T12:00:00.000+00:00")
    assert known.started == "2026-03-01T12:00:00.000+00:00" < known.finished
    unknown = failed_record(job(resources=Resources(cpus=3)), failure)
    assert unknown.started == unknown.finished and unknown.provenance["resources"]["cpus"] == 3


def test_a_log_holds_no_secret(tmp_path: Path, job: MakeJob) -> None:
    def careless(spec: RunSpec, context: RunContext) -> Outcome:
        logging.getLogger("some.method").info("reading http://PLANTED:PLANTED@host/data")
        raise ValueError("no answer from http://PLANTED:PLANTED@host/data")

    store, tracker = Store(tmp_path), Tracker()
    record = run_job(job(), store, tracker, execute=careless)
    kept = [store.log_path(record.digest).read_text(), str(record), str(tracker.finished)]
    assert all("http://host/data" in text and "PLANTED" not in text for text in kept)
