"""A store behind an address, on a real S3 server on loopback: what one machine writes the others read."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest

from harness.collate import collate
from harness.errors import SymbenchError
from harness.execution.launch import launch
from harness.execution.perform import perform
from harness.execution.watching import watch
from harness.records import remote
from harness.records.opening import existing_store, open_store
from harness.records.record import Record
from harness.records.remote import HOLDER, RemoteStore
from harness.spec import Job, Resources, RunSpec
from harness.training.outcome import Hooks, Outcome
from tests.harness.synthetic import make_record

EXECUTORS = Path(__file__).parents[1] / "execution"
BUCKET = "benchmarks"
URL = f"s3://{BUCKET}/team/store"
Machine = Callable[[str], RemoteStore]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    served = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    yield f"http://{host}:{port}"
    served.stop()


@pytest.fixture
def machine(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    """The store as machines of different names see it: each has a folder of its own."""
    environment = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.mkdir(BUCKET)

    def seen_from(name: str) -> RemoteStore:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        store = open_store(URL)
        assert isinstance(store, RemoteStore)
        return store

    yield seen_from
    files.rm(BUCKET, recursive=True)


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


def test_what_was_deleted_there_is_gone_here_as_well(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine("here")
    here.write(succeeded(), [])
    here._remove(here.record_path(succeeded().digest, "succeeded"))
    assert here.statuses() != {}  # too young to be sure that it is not on its way
    monkeypatch.setattr(remote, "STALE_SECONDS", 0.0)
    assert here.statuses() == {}


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
        while not here._files.exists(here._remote(path)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        path.write_bytes(b"the last state")

    def goes_on(spec: RunSpec, *, resources: Resources, hooks: Hooks, checkpoint: Path | None) -> Outcome:
        assert checkpoint is not None and checkpoint.read_bytes() == b"the last state"
        return Outcome(metrics={"mse": 0.5})

    record = perform(Job(spec=spec, suite="s"), there, None, execute=goes_on)
    assert record.failure is None
    assert not there.checkpoint_path(spec.digest).exists()
    assert not here._files.exists(here._remote(here.checkpoint_path(spec.digest)))
    assert here._files.exists(f"{BUCKET}/team/store/logs/{spec.digest}.log")


def test_one_launch_at_a_time_from_all_machines(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = machine("here"), machine("there")
    held = pytest.raises(SymbenchError, match=rf"Another launch \(pid {os.getpid()} on .*is using the store s3://")
    with here.lock(), held, there.lock():
        pass
    with there.lock():
        pass
    silent = {"id": "x", "pid": 1, "host": "another", "since": "long ago", "alive": time.time() - 200}
    there._files.pipe_file(there._remote(there.root / HOLDER), json.dumps(silent).encode())
    with here.lock():
        assert here._holder() is not None


def test_of_two_that_claim_the_lock_at_once_one_has_it(machine: Machine) -> None:
    stores, refused = [machine("here"), machine("there")], []

    def claim(store: RemoteStore) -> None:
        try:
            with store.lock():
                time.sleep(3)
        except SymbenchError:
            refused.append(store)

    threads = [threading.Thread(target=claim, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1


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
    assert not driver._files.exists(f"{BUCKET}/team/store/checkpoints")
