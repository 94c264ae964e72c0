"""Jobs on a real local Ray: what becomes of runs that die, raise, hang or ask for too much."""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

import tasks
from harness.errors import SymbenchError
from harness.execution.cluster import cluster
from harness.execution.dispatch import MAX_START_FAILURES, _Dispatcher, dispatch
from harness.execution.launch import EXECUTOR, LaunchResult
from harness.execution.messages import WorkerConfig
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job, Resources
from harness.training.context import RunContext
from harness.training.execute import execute
from tests.harness.training.small_problems import particles_spec

MakeJob = Callable[..., Job]
FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def ray_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One local Ray for all tests here; at the end none of its processes may be left."""
    this = psutil.Process()
    before = set(this.children(recursive=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FOLDER))
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.setenv("SYMBENCH_TEST_FOLDER", os.getcwd())
        with cluster(None):
            yield
        assert set(this.children(recursive=True)) - before == set()


@pytest.fixture
def store(tmp_path: Path, ray_up: None) -> Store:
    return Store(tmp_path)


def go(
    jobs: list[Job],
    store: Store,
    watcher: Any,
    *,
    executor: str = "symbench_test_executors:act",
    slots: int | None = None,
) -> LaunchResult:
    """A launch without its MLflow side, which costs each new worker seconds."""
    result = LaunchResult(launch_id="one")
    store.write_launch("one", {})
    config = WorkerConfig(root=store.root, launch_id="one", executor=executor, command=["symbench"])
    dispatch(jobs, store, config, watcher, slots=slots, on_end=result.add)
    return result


def read(store: Store, job: Job) -> Record:
    record = store.read(job.spec.digest)
    assert record is not None
    return record


def test_every_job_gets_a_record_from_a_few_workers(store: Store, watcher: Any, job: MakeJob) -> None:
    jobs = [job(seed=seed) for seed in range(12)]
    result = go(jobs, store, watcher)
    digests = {run.spec.digest for run in jobs}
    assert set(result.succeeded) == digests
    assert result.failed == {}
    assert store.statuses() == dict.fromkeys(digests, "succeeded")
    assert watcher.starts == dict.fromkeys(digests, 1)
    assert sorted(watcher.ends) == sorted((digest, "succeeded", None) for digest in digests)
    records = list(store.records())
    assert len({record.metrics["pid"] for record in records}) <= 2
    assert os.getpid() not in {record.metrics["pid"] for record in records}
    assert {record.notes[0] for record in records} == {os.path.realpath(tasks.__file__)}
    assert all(store.history(digest).height == 2 for digest in digests)


def test_a_worker_that_dies_once_is_replaced_and_its_run_goes_on(store: Store, watcher: Any, job: MakeJob) -> None:
    dying, other = job("die_once"), job(seed=1)
    result = go([dying, other], store, watcher)
    assert set(result.succeeded) == {dying.spec.digest, other.spec.digest}
    assert watcher.starts == {dying.spec.digest: 2, other.spec.digest: 1}
    assert len(watcher.ends) == 2
    assert "its worker died" in watcher.notes[0]


def test_a_run_that_kills_its_worker_three_times_is_recorded_as_failed(
    store: Store, watcher: Any, job: MakeJob, capfd: pytest.CaptureFixture[str]
) -> None:
    dying, others = job("die"), [job(seed=seed) for seed in range(3)]
    result = go([dying, *others], store, watcher)
    sentence = "The run was tried 3 times, and the last time its worker died (killed or out of memory)."
    assert result.failed == {dying.spec.digest: sentence}
    assert set(result.succeeded) == {run.spec.digest for run in others}
    failure = read(store, dying).failure
    assert failure is not None
    assert failure.sentence == sentence
    assert watcher.starts[dying.spec.digest] == 3
    assert [end for end in watcher.ends if end[1] == "failed"] == [(dying.spec.digest, "failed", sentence)]
    time.sleep(1)  # Ray would say something of dead workers about now
    assert capfd.readouterr() == ("", "")


def test_a_worker_whose_device_failed_is_replaced_and_its_run_goes_on(store: Store, watcher: Any, job: MakeJob) -> None:
    failing, others = job("device_fails_once"), [job(seed=seed) for seed in range(3)]
    result = go([failing, *others], store, watcher, slots=1)
    assert set(result.succeeded) == {run.spec.digest for run in (failing, *others)}
    assert watcher.starts[failing.spec.digest] == 2
    assert "its device failed (AcceleratorError: CUDA error: an illegal memory access" in watcher.notes[0]
    pids = {run.spec.digest: read(store, run).metrics["pid"] for run in (failing, *others)}
    assert len(set(pids.values())) == 1
    assert "another process tries again" in store.log_path(failing.spec.digest).read_text()


def test_a_worker_that_dies_after_its_record_was_written_is_no_failure(
    store: Store, watcher: Any, job: MakeJob
) -> None:
    run = job("write_and_die")
    assert go([run], store, watcher).succeeded == [run.spec.digest]
    assert watcher.starts[run.spec.digest] == 1


def test_a_run_that_raises_is_a_failed_record_and_is_not_tried_again(store: Store, watcher: Any, job: MakeJob) -> None:
    raising, other = job("raise"), job(seed=1)
    result = go([raising, other], store, watcher)
    assert result.failed == {raising.spec.digest: "ValueError: this run is"}
    failure = read(store, raising).failure
    assert failure is not None
    assert "raise ValueError" in failure.traceback
    assert watcher.starts[raising.spec.digest] == 1
    again = go([job("raise")], store, watcher)
    assert again.failed == result.failed
    assert store.statuses() == {raising.spec.digest: "failed", other.spec.digest: "succeeded"}


def test_what_cannot_be_recorded_is_recorded_as_that(store: Store, watcher: Any, job: MakeJob) -> None:
    run = job("no_json")
    sentence = go([run], store, watcher).failed[run.spec.digest]
    assert sentence.startswith("TypeError")
    assert store.statuses() == {run.spec.digest: "failed"}


def test_an_overdue_run_is_ended_and_recorded(store: Store, watcher: Any, job: MakeJob) -> None:
    slow = job("sleep", seconds=300, resources=Resources(timeout=1.0))
    others = [job(seed=seed, resources=Resources(timeout=60.0)) for seed in range(4)]
    began = time.monotonic()
    result = go([slow, *others], store, watcher)
    assert time.monotonic() - began < 60
    assert result.failed == {slow.spec.digest: "The run took longer than its timeout of 1 s and was ended."}
    assert len(result.succeeded) == 4
    assert read(store, slow).provenance["resources"]["timeout"] == 1.0
    assert watcher.starts[slow.spec.digest] == 1


def test_runs_that_no_node_can_hold_are_refused_at_once_and_the_others_run(
    store: Store, watcher: Any, job: MakeJob
) -> None:
    greedy = job(resources=Resources(gpus=1))
    huge = job(seed=1, resources=Resources(memory=10**15))
    other = job(seed=2)
    result = go([greedy, huge, other], store, watcher)
    assert result.succeeded == [other.spec.digest]
    assert "No node has what a run asks for (1 CPU, 1 GPU; the largest has " in result.failed[greedy.spec.digest]
    assert "GiB of memory" in result.failed[huge.spec.digest]
    assert watcher.starts == {other.spec.digest: 1}
    assert [end[0] for end in watcher.ends[:2]] == [greedy.spec.digest, huge.spec.digest]


def test_runs_of_several_shapes_take_turns_and_get_their_threads(store: Store, watcher: Any, job: MakeJob) -> None:
    cpus = len(os.sched_getaffinity(0))
    shapes = [0.5, float(cpus), 1.0, 0.5]
    jobs = [job(seed=seed, resources=Resources(cpus=share)) for seed, share in enumerate(shapes)]
    result = go(jobs, store, watcher)
    assert len(result.succeeded) == len(jobs)
    for run in jobs:
        assert read(store, run).metrics["threads"] == max(1, int(run.resources.cpus))


def test_no_more_runs_at_once_than_slots(store: Store, watcher: Any, job: MakeJob) -> None:
    jobs = [job("sleep", seed=seed, seconds=0.3) for seed in range(4)]
    assert len(go(jobs, store, watcher, slots=1).succeeded) == 4
    spans = sorted((record.started, record.finished) for record in store.records())
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_an_executor_that_cannot_be_imported_is_one_sentence(store: Store, watcher: Any, job: MakeJob) -> None:
    with pytest.raises(SymbenchError, match=r"^Workers cannot start: ModuleNotFoundError: No module named 'nowhere'"):
        go([job()], store, watcher, executor="nowhere:execute")
    assert store.statuses() == {}


@pytest.mark.parametrize("one_lives", [True, False])
def test_workers_that_die_as_they_start_end_a_launch_unless_another_is_at_work(
    store: Store, watcher: Any, job: MakeJob, monkeypatch: pytest.MonkeyPatch, one_lives: bool
) -> None:
    folder, died = Path(os.environ["SYMBENCH_TEST_FOLDER"]), []
    hopeless = _Dispatcher._cannot_start

    def counted(self: _Dispatcher) -> bool:
        died.append(self)
        if len(died) == MAX_START_FAILURES:
            (folder / "enough died").touch()
        return hopeless(self)

    monkeypatch.setattr(_Dispatcher, "_cannot_start", counted)
    monkeypatch.setattr("harness.execution.dispatch.START_FAILURE_SECONDS", 0.5)
    (folder / "enough died").unlink(missing_ok=True)
    mark = folder / "imported"
    mark.unlink(missing_ok=True) if one_lives else mark.touch()
    jobs = [job("wait_for", seed, file="enough died") for seed in range(3)]
    if one_lives:
        result = go(jobs, store, watcher, executor="symbench_test_sole_executor:act", slots=2)
        assert len(result.succeeded) == len(jobs)
    else:
        with pytest.raises(SymbenchError, match="Workers die while they start"):
            go(jobs, store, watcher, executor="symbench_test_sole_executor:act", slots=2)
    assert len(died) >= MAX_START_FAILURES


def test_a_worker_that_does_not_come_is_asked_for_anew(
    store: Store, watcher: Any, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.execution.dispatch.START_SECONDS", 4.0)
    monkeypatch.setattr("harness.execution.dispatch.NODES_SECONDS", 0.5)
    run = job("nothing")
    assert go([run], store, watcher, executor="symbench_test_late_executor:act", slots=1).succeeded == [run.spec.digest]
    assert (Path(os.environ["SYMBENCH_TEST_FOLDER"]) / "late").exists()


def test_a_store_that_cannot_be_written_any_more_ends_the_launch(store: Store, watcher: Any, job: MakeJob) -> None:
    (store.root / "histories").rmdir()
    (store.root / "histories").write_text("in the way")
    with pytest.raises(SymbenchError, match=r"cannot be (written|created)"):
        go([job(seed=seed) for seed in range(50)], store, watcher)


def test_seeds_that_may_be_trained_at_once_are_and_each_has_its_own_record(store: Store, watcher: Any) -> None:
    specs = [particles_spec("gnn-ps", seed, precision="float64") for seed in range(3)]
    jobs = [Job(spec=spec, suite="tests", resources=Resources(stack=2)) for spec in specs]
    result = go(jobs, store, watcher, executor=EXECUTOR)
    assert set(result.succeeded) == {spec.digest for spec in specs}
    assert watcher.starts == {spec.digest: 1 for spec in specs}
    stacked = "trained in a stack of 2 seeds: train_seconds is this run's share"
    for run, notes in zip(jobs, [(stacked,), (stacked,), ()], strict=True):
        record, history = read(store, run), Remembered()
        expected = execute(run.spec, RunContext.of(run.spec, hooks=history))
        assert record.notes == notes
        assert record.metrics == pytest.approx(dict(expected.metrics), rel=1e-6)
        rows = store.history(run.spec.digest)
        assert rows["name"].to_list() == [name for _, name, _ in history.rows]
        assert rows["value"].to_list() == pytest.approx([value for _, _, value in history.rows], rel=1e-6)
        assert "succeeded" in store.log_path(run.spec.digest).read_text()
        assert record.provenance["resources"]["stack"] == 2


def test_seeds_that_cannot_be_trained_at_once_go_one_by_one(store: Store, watcher: Any) -> None:
    specs = [particles_spec("mlp-mfa", seed, epochs=1) for seed in range(2)]
    jobs = [Job(spec=spec, suite="tests", resources=Resources(stack=5)) for spec in specs]
    assert set(go(jobs, store, watcher, executor=EXECUTOR).succeeded) == {spec.digest for spec in specs}
    assert watcher.starts == {spec.digest: 2 for spec in specs}
    assert watcher.notes[0].startswith("nbody(train=40, validation=20, test=20) x mlp-mfa, seeds 0, 1: run one by")
    for run in jobs:
        expected = execute(run.spec).metrics
        assert read(store, run).metrics == pytest.approx(dict(expected), rel=1e-5)  # other numbers of threads


def test_a_stack_may_take_its_runs_timeouts_together(store: Store, watcher: Any) -> None:
    specs = [particles_spec("gnn-ga", seed, epochs=1000) for seed in range(2)]
    jobs = [Job(spec=spec, suite="tests", resources=Resources(stack=2, timeout=0.5)) for spec in specs]
    result = go(jobs, store, watcher, executor=EXECUTOR)
    sentence = "The run took longer than its timeout of 1 s and was ended."
    assert result.failed == {spec.digest: sentence for spec in specs}


def test_a_stack_whose_worker_dies_is_taken_apart(store: Store, watcher: Any) -> None:
    specs = [particles_spec("gnn-ga", seed, epochs=40) for seed in range(2)]
    jobs = [Job(spec=spec, suite="tests", resources=Resources(stack=2)) for spec in specs]

    class Killer(type(watcher)):  # type: ignore[misc]
        def started(self, job: Job) -> None:
            super().started(job)
            if self.starts.total() == 2:
                threading.Timer(1.0, kill_the_worker_at_work).start()

    killer = Killer()
    assert set(go(jobs, store, killer, executor=EXECUTOR).succeeded) == {spec.digest for spec in specs}
    assert killer.starts == {spec.digest: 2 for spec in specs}
    assert "seeds 0, 1: its worker died" in killer.notes[0]
    assert all(read(store, run).notes == () for run in jobs)


def kill_the_worker_at_work() -> None:
    for process in psutil.Process().children(recursive=True):
        if process.name() == "ray::Worker.run":
            process.kill()


class Remembered:
    """Hooks that keep what they receive."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, float]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows += [(step, name, value) for name, value in values.items()]


def test_nothing_listens_beyond_loopback(store: Store, watcher: Any, job: MakeJob) -> None:
    go([job()], store, watcher)
    listening = [
        end
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]
        for end in listening_ends(process)
    ]
    assert len(listening) >= 3
    for end in listening:
        address = ipaddress.ip_address(end)
        assert (getattr(address, "ipv4_mapped", None) or address).is_loopback, listening


def listening_ends(process: psutil.Process) -> list[str]:
    try:
        return [end.laddr.ip for end in process.net_connections("inet") if end.status == psutil.CONN_LISTEN]
    except psutil.NoSuchProcess:  # a worker that has gone meanwhile
        return []
