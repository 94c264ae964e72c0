"""A store behind an address, on a real S3 server on loopback: what one machine writes the others read."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.collate import collate
from harness.errors import SymbenchError
from harness.execution.launch import launch
from harness.execution.run_job import run_job
from harness.execution.status import watch
from harness.records import lease, remote
from harness.records.opening import existing_store, open_store
from harness.records.record import Record
from harness.spec import Job, RunSpec
from harness.training.context import RunContext
from harness.training.results import Outcome
from tests.harness.records.conftest import URL, Machine
from tests.harness.synthetic import make_record

EXECUTORS = Path(__file__).parents[1] / "execution"


def succeeded(seed: int = 0) -> Record:
    return make_record(seed=seed)


def failed(seed: int = 0) -> Record:
    return make_record(seed=seed, error="It broke.")


def test_what_one_machine_writes_the_others_read(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    assert here.root != there.root
    records = [succeeded(0), failed(1)]
    for record in records:
        here.write(record, [])
    assert there.read(records[0].digest) == records[0]
    assert there.statuses() == {records[0].digest: "succeeded", records[1].digest: "failed"}
    assert {record.digest for record in there.records()} == {record.digest for record in records}
    assert there.history(records[0].digest).columns == ["step", "name", "value", "seconds"]
    assert collate(machine("third")).runs.height == 2


def test_a_failed_record_never_replaces_a_succeeded_one_of_another_machine(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    here.write(failed(), [])
    there.write(succeeded(), [])
    here.write(failed(), [])
    assert machine("third").read(succeeded().digest) == succeeded()
    assert machine("third").statuses() == {succeeded().digest: "succeeded"}


def test_a_store_is_there_once_a_launch_is(machine: Machine) -> None:
    here = machine("here")
    assert existing_store(URL) is None
    here.write_launch("one", {"suite": "quick"})
    there = existing_store(URL)
    assert there is not None and there.has_launch("one") and not there.has_launch("two")


def test_a_launch_is_watched_from_elsewhere_until_it_has_ended(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    account = {"id": "one", "suite": "quick", "started": datetime.now(UTC).isoformat(), "digests": ["a" * 16]}
    states = []
    for status in ("running", "interrupted"):
        here.write_launch("one", account | {"status": status})
        states += [launch.state for launch in watch(there)]
    assert states == ["running", "interrupted"]


def test_a_run_goes_on_elsewhere_from_its_checkpoint(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "CHECKPOINT_SECONDS", 0.05)
    spec = succeeded().spec
    here, there = machine("here"), machine("there")
    with here.checkpoint(spec.digest) as path:
        path.write_bytes(b"first")
        deadline = time.monotonic() + 20
        while not here._objects.exists(path.relative_to(here.root).as_posix()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        path.write_bytes(b"the last state")

    def goes_on(spec: RunSpec, context: RunContext) -> Outcome:
        assert context.checkpoint is not None and context.checkpoint.path.read_bytes() == b"the last state"
        return Outcome(metrics={"mse": 0.5})

    record = run_job(Job(spec=spec, suite="s"), there, None, execute=goes_on)
    assert record.failure is None
    assert not there.checkpoint_path(spec.digest).exists()
    assert not here._objects.exists(f"checkpoints/{spec.digest}.pt")
    assert here._objects.exists(f"logs/{spec.digest}.log")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://no-such-bucket/store", r"The store s3://no-such-bucket/store cannot be used \("),
        ("gs://bucket/store", "--store gs://bucket/store needs a package that is not installed: install gcsfs."),
        ("nonsense://x", "--store nonsense://x: no store can be opened there"),
    ],
)
@pytest.mark.usefixtures("machine")
def test_a_store_that_cannot_be_opened_is_one_sentence(url: str, says: str) -> None:
    with pytest.raises(SymbenchError, match=says), open_store(url).lock():
        pass


def test_a_server_that_does_not_answer_is_said_soon(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(SymbenchError, match=r"cannot be used \("):
        open_store(URL)
    assert time.monotonic() - began < 25


def test_a_launch_whose_store_was_taken_ends_with_one_sentence(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.harness.execution.conftest import Watcher, make_job

    monkeypatch.setenv("PYTHONPATH", str(EXECUTORS))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.2)
    driver = machine("driver")
    other = {"id": "another", "pid": 1, "host": "elsewhere", "since": "now"}
    taken = pytest.raises(SymbenchError, match=r"was taken by another launch \(pid 1 on elsewhere")
    with driver.lock():
        driver._objects.write("lock/00000009", json.dumps(other).encode())
        with taken:
            launch(
                [make_job("print", seed) for seed in range(2000)],
                driver,
                address=None,
                suite="tests",
                progress=Watcher(),
                executor="symbench_test_executors:act",
            )
    assert driver._objects.read("lock/00000009") == json.dumps(other).encode()
    assert len(machine("reader").statuses()) < 2000


def test_a_launch_leaves_its_records_there(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.harness.execution.conftest import Watcher, make_job

    monkeypatch.setenv("PYTHONPATH", str(EXECUTORS))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    driver, watcher = machine("driver"), Watcher()
    jobs = [make_job("print", seed) for seed in range(6)] + [make_job("die_once"), make_job("raise")]
    with driver.lock():
        result = launch(
            jobs, driver, address=None, suite="tests", progress=watcher, executor="symbench_test_executors:act"
        )
    assert len(result.succeeded) == 7 and list(result.failed.values()) == ["ValueError: this run is"]
    seen = machine("reader").statuses()
    assert sorted(seen.values()) == ["failed", *["succeeded"] * 7]
    assert not driver._objects.exists("checkpoints")
