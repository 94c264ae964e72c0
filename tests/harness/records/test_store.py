"""The store: what it promises about records when disks are full, files are damaged and writers die."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from harness.errors import SymbenchError
from harness.records.history import HistoryRow
from harness.records.opening import existing_store, open_store
from harness.records.record import Description, Failure, Record
from harness.records.store import Store
from harness.spec import RunSpec
from harness.training.results import CurvePoint, VariancePoint
from tasks.protocol import Protocol

ROWS = [HistoryRow(0, "loss", 1.5, 0.1), HistoryRow(1, "loss", float("nan"), 0.2)]
DESCRIPTION = Description(
    group="S_n",
    metric="accuracy",
    direction="max",
    kind="equivariant",
    base_model="gin",
    sampler=None,
    control="accuracy_transformed",
)


def spec(seed: int = 0) -> RunSpec:
    return RunSpec(
        task="graph8c",
        task_version="1",
        method="gin",
        method_version="1",
        seed=seed,
        protocol="quick",
        settings=Protocol(),
    )


def succeeded(seed: int = 0, value: float = 0.5) -> Record:
    return Record(
        spec=spec(seed), suite="s", status="succeeded", description=DESCRIPTION, started="a", finished="b",
        metrics={"accuracy": value}, provenance={"host": "h"},
    )  # fmt: skip


def failed(seed: int = 0) -> Record:
    return replace(
        succeeded(seed), status="failed", metrics={}, failure=Failure(sentence="It {broke.", traceback="{{{")
    )


def path_of(store: Store, record: Record) -> Path:
    return store.record_path(record.digest, record.status)


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.write(succeeded(), ROWS)
    assert store.read(spec().digest) == succeeded()
    assert store.statuses() == {spec().digest: "succeeded"}
    history = store.history(spec().digest)
    assert history.schema == {"step": pl.Int64, "name": pl.String, "value": pl.Float64, "seconds": pl.Float64}
    assert history["step"].to_list() == [0, 1]
    assert history["value"].is_nan().to_list() == [False, True]


def test_a_run_without_record_has_neither_record_nor_history(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.read("0" * 16) is None
    assert store.history("0" * 16).height == 0
    assert store.statuses() == {}


def test_a_damaged_history_is_named_in_one_sentence(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(succeeded(), ROWS)
    path = store.history_path(spec().digest, "succeeded")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SymbenchError, match=f"{path.name} cannot be read: delete it") as caught:
        store.history(spec().digest)
    assert "\n" not in str(caught.value)


def test_success_replaces_failure_and_never_the_other_way(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(failed(), ROWS[:1])
    assert store.statuses() == {spec().digest: "failed"}
    assert store.history(spec().digest).height == 1
    store.write(succeeded(), ROWS)
    store.write(failed(), ROWS[:1])
    assert store.read(spec().digest) == succeeded()
    assert store.history(spec().digest).height == 2
    assert [path.name for path in (tmp_path / "records").iterdir()] == [f"{spec().digest}.json"]


@pytest.mark.parametrize("backwards", [False, True])
def test_where_a_killed_writer_left_both_the_success_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    store, listed = Store(tmp_path), os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: sorted(listed(folder), reverse=backwards))
    store.write(succeeded(), ROWS)
    other = replace(failed(), failure=Failure(sentence="It broke."))
    path_of(store, other).write_text(json.dumps(other.to_dict()) + "\n")
    assert store.statuses() == {spec().digest: "succeeded"}
    assert store.read(spec().digest) == succeeded()
    assert list(store.records()) == [succeeded()]


def damages() -> dict[str, Callable[[bytes], bytes]]:
    return {
        "empty": lambda body: b"",
        "half": lambda body: body[: len(body) // 2],
        "cut after an inner brace": lambda body: body[: body.rindex(b"}", 0, len(body) - 2) + 1],
        "cut after a line with a brace": lambda body: body[: body.find(b"}\n", 0, len(body) - 2) + 2],
        "zeros in a word": lambda body: body.replace(b"graph8c", bytes(7)),
        "zeros": lambda body: bytes(len(body)),
        "zeros inside": lambda body: body[:100] + bytes(50) + body[150:],
        "no JSON": lambda body: b"hello\n",
        "a list": lambda body: b"[]\n",
        "no text": lambda body: b"\xff\xfe" + body,
        "deeply nested": lambda body: b"[" * 100_000,
    }


@pytest.mark.parametrize("damage", damages())
@pytest.mark.parametrize("record", [succeeded(), failed()], ids=["succeeded", "failed"])
@pytest.mark.parametrize("first", ["statuses", "read"])
def test_a_damaged_record_is_moved_aside_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, record: Record, damage: str, first: str
) -> None:
    store = Store(tmp_path)
    store.write(record, ROWS)
    store.write(succeeded(seed=1), ROWS)
    path = path_of(store, record)
    body = damages()[damage](path.read_bytes())
    path.write_bytes(body)
    with caplog.at_level(logging.WARNING):
        if first == "read":
            assert store.read(record.digest) is None
        assert store.statuses() == {spec(1).digest: "succeeded"}
        assert store.read(record.digest) is None
    assert len(caplog.records) == 1
    assert path.name in caplog.text
    assert "counts as not done" in caplog.text
    assert [moved.read_bytes() for moved in (tmp_path / "records" / "corrupt").iterdir()] == [body]


def test_a_record_that_was_made_whole_meanwhile_is_not_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes it between the look at the damaged one and its move."""
    store = Store(tmp_path)
    path_of(store, succeeded()).write_text("damaged")
    digest, loads = spec().digest, json.loads

    def interrupted(body: bytes) -> object:
        monkeypatch.undo()
        Store(tmp_path).write(succeeded(), ROWS)
        return loads(body)

    monkeypatch.setattr(json, "loads", interrupted)
    assert store.read(digest) is None
    assert store.read(digest) == succeeded()


def test_a_record_that_does_not_belong_to_its_name_does_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(succeeded(), ROWS)
    path_of(store, succeeded()).rename(store.record_path("f" * 16, "succeeded"))
    assert store.read("f" * 16) is None
    assert store.statuses() == {}


def test_a_record_written_before_a_setting_existed_still_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(succeeded(), ROWS)
    values = json.loads(path_of(store, succeeded()).read_text())
    del values["spec"]["settings"]["curve_size"], values["description"]["control"]
    values["digest"] = "e" * 16
    store.record_path("e" * 16, "succeeded").write_text(json.dumps(values) + "\n")
    assert store.statuses()["e" * 16] == "succeeded"
    record = store.read("e" * 16)
    assert record is not None
    assert record.metrics == {"accuracy": 0.5}
    assert record.description.control is None


def test_long_records_are_read_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    long = replace(failed(), failure=Failure(sentence="s", traceback="}" * 300_000))
    store.write(long, [])
    assert store.statuses() == {spec().digest: "failed"}
    assert store.read(spec().digest) == long


def test_an_unwritable_store_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SymbenchError, match=r"store .*file/store cannot be created .*choose another --store\.$"):
        Store(tmp_path / "file" / "store")


@pytest.mark.parametrize("after", [0, 1, 100])
@pytest.mark.parametrize("record", [succeeded(), failed()], ids=["succeeded", "failed"])
def test_a_full_disk_leaves_no_half_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record, after: int
) -> None:
    store = Store(tmp_path)
    left = after
    write = os.write

    def full(file: int, body: bytes) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(file, bytes(body)[:left])
        left -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(SymbenchError, match=r"No space left on device.*make room"):
            store.write(record, ROWS)
    assert store.statuses() == {}
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    store.write(record, ROWS)
    assert store.read(record.digest) == record


def test_a_disk_that_is_full_in_earnest(tmp_path: Path) -> None:
    """On a file system of 256 kB: earlier records stay, the one that does not fit leaves nothing, room heals it."""
    mounted = f"mount -t tmpfs -o size=256k tmpfs {tmp_path} && exec {sys.executable} {Path(__file__)} fill {tmp_path}"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"this machine does not let us mount a small disk: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


def fill(folder: Path) -> None:
    """What the test above runs on the small disk."""
    store = Store(folder / "store")
    store.write(succeeded(seed=1), ROWS)
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 1024):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    with pytest.raises(SymbenchError, match="No space left on device"):
        store.write(succeeded(seed=2), ROWS)
    assert store.statuses() == {spec(1).digest: "succeeded"}
    assert not list(folder.rglob("*.tmp")) and not list(folder.rglob(f"*{spec(2).digest}*"))
    ballast.unlink()
    store.write(succeeded(seed=2), ROWS)
    assert store.read(spec(2).digest) == succeeded(seed=2)


def test_a_writer_killed_at_any_moment_leaves_whole_records_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        sys.path.insert(0, str(Path(sys.argv[1]).parent))
        import test_store as t
        store = t.Store(Path(sys.argv[2]))
        print("go", flush=True)
        for round in range(10**6):
            store.write(t.succeeded(seed=round % 7, value=round), t.ROWS * 500)
    """)
    root = Path(__file__).parents[3]
    store = Store(tmp_path)
    for delay in (0.1, 0.2, 0.4):
        writer = subprocess.Popen(
            [sys.executable, "-c", script, __file__, str(tmp_path)],
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"go\n"
        began = time.monotonic()
        while time.monotonic() - began < delay or len(store.statuses()) < 7:  # a reader meets whole records only, too
            assert all(store.read(digest) for digest in store.statuses())
            assert time.monotonic() - began < 60
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    assert len(store.statuses()) == 7
    for record in store.records():
        assert store.history(record.digest).height == 1000
    assert not caplog.records
    assert len(list(store.records())) == len(list((tmp_path / "records").glob("*.json")))


def test_what_killed_writers_left_is_swept_once_it_is_old(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(succeeded(), ROWS)
    old, young = tmp_path / "records" / ".a.json.1.tmp", tmp_path / "histories" / ".b.parquet.2.tmp"
    for path in (old, young):
        path.write_text("half")
    folder = tmp_path / "launches" / ".c.tmp"
    folder.mkdir()
    (folder / "copy").write_text("half")
    for path in (old, folder):
        os.utime(path, (0, 0))
    with store.lock():
        assert not old.exists() and not folder.exists()
        assert young.exists()
    assert store.statuses() == {spec().digest: "succeeded"}


def test_a_second_launch_is_told_who_holds_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock():
        code = textwrap.dedent("""
            import sys; from pathlib import Path; from harness.records.store import Store
            with Store(Path(sys.argv[1])).lock(): pass
        """)
        root = Path(__file__).parents[3]
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True)
        assert other.returncode == 1
        assert f"SymbenchError: Another launch (pid {os.getpid()} on " in other.stderr
        assert f"is using the store {tmp_path}" in other.stderr
        with pytest.raises(SymbenchError, match="Another launch"), Store(tmp_path).lock():
            pass
    with Store(tmp_path).lock():
        pass


def test_a_killed_holder_leaves_the_store_free(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys, time; from pathlib import Path; from harness.records.store import Store
        with Store(Path(sys.argv[1])).lock():
            print("held", flush=True); time.sleep(60)
    """)
    root = Path(__file__).parents[3]
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(SymbenchError, match=f"pid {holder.pid}"), Store(tmp_path).lock():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with Store(tmp_path).lock():
        pass


@pytest.mark.parametrize("spelling", ["link", "link/", "other/../store", "store/../link", "./store"])
def test_however_it_is_spelled_it_is_one_store_with_one_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "link").symlink_to("store")
    (tmp_path / "other").mkdir()
    for other in (Store(tmp_path / spelling), open_store(f"file://{tmp_path}/{spelling}")):
        assert other.root == store.root and other.mlflow_uri == store.mlflow_uri
        with store.lock(), pytest.raises(SymbenchError, match=f"Another launch .*{os.getpid()}"), other.lock():
            pass
    monkeypatch.chdir(tmp_path / "other")
    assert Store(Path("..") / "store").root == store.root
    monkeypatch.setenv("HOME", str(tmp_path))
    found = existing_store("~/link")
    assert found is not None and found.root == store.root


def test_other_machines_open_a_store_as_it_was_given(tmp_path: Path) -> None:
    """A link may lead elsewhere on them."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Store(tmp_path / "link" / "store").address == str(tmp_path / "link" / "store")


def test_links_in_a_circle_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(SymbenchError, match=r"choose another --store\.$"):
        Store(tmp_path / "a" / "store")


def test_what_the_lock_leaves_says_nothing_of_a_holder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock():
        assert json.loads((tmp_path / "launch.holder.json").read_text())["pid"] == os.getpid()
        store.check_lock()
    assert not (tmp_path / "launch.holder.json").exists()


def test_mlflow_lives_beside_the_records_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store(Path("store")).mlflow_uri == f"sqlite:///{tmp_path}/store/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:5000")
    assert Store(Path("store")).mlflow_uri == "http://there:5000"


class StoreMachine(RuleBasedStateMachine):
    """Any order of writes and damage: a succeeded record is there, as written, until its own file is damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name))
        self.good: dict[int, Record] = {}
        self.bad: dict[int, Record] = {}

    @rule(seed=st.integers(0, 2), value=st.floats(allow_nan=False, allow_infinity=False))
    def succeed(self, seed: int, value: float) -> None:
        self.good[seed] = succeeded(seed, value)
        self.bad.pop(seed, None)
        self.store.write(self.good[seed], ROWS)

    @rule(seed=st.integers(0, 2))
    def fail(self, seed: int) -> None:
        self.store.write(failed(seed), ROWS[:1])
        if seed not in self.good:
            self.bad[seed] = failed(seed)

    @precondition(lambda self: self.good or self.bad)
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        seed = data.draw(st.sampled_from(sorted({*self.good, *self.bad})))
        path = path_of(self.store, self.good.pop(seed, None) or self.bad.pop(seed))
        body = path.read_bytes()
        path.write_bytes(body[: data.draw(st.integers(0, len(body) - 3))])

    @rule()
    def leave_a_half_written_file(self) -> None:
        (self.store.root / "records" / f".{spec().digest}.json.x.tmp").write_text('{"schema"')

    @invariant()
    def the_store_agrees(self) -> None:
        expected = {**{seed: "failed" for seed in self.bad}, **{seed: "succeeded" for seed in self.good}}
        assert self.store.statuses() == {spec(seed).digest: status for seed, status in expected.items()}
        for seed, record in {**self.bad, **self.good}.items():
            assert self.store.read(spec(seed).digest) == record
            assert self.store.history(spec(seed).digest).height == (2 if seed in self.good else 1)

    def teardown(self) -> None:
        self.folder.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
params = st.dictionaries(st.text(max_size=5), json_values, max_size=3)
measured = st.dictionaries(st.text(max_size=5), finite, max_size=3)
points = st.builds(CurvePoint, samples=st.integers(1, 64), value=finite, value_error=finite, variance=finite)
variances = st.builds(
    VariancePoint, stage=st.sampled_from(["initialised", "trained"]), samples=st.integers(1, 200),
    repeats=st.integers(1, 100), output_variance=finite, loss_mean=finite, loss_variance=finite,
)  # fmt: skip
records = st.builds(
    Record,
    spec=st.builds(
        RunSpec, task=st.text(), task_version=st.text(), task_params=params, method=st.text(), method_version=st.text(),
        base=params, sampler=params, seed=st.integers(0, 2**31), protocol=st.text(),
        settings=st.builds(Protocol, epochs=st.integers(0, 9), curve_samples=st.tuples(st.integers(1, 64))),
    ),
    suite=st.text(),
    status=st.sampled_from(["succeeded", "failed"]),
    description=st.just(DESCRIPTION),
    started=st.text(),
    finished=st.text(),
    metrics=measured,
    curve=st.lists(points, max_size=3).map(tuple),
    output_variance=st.lists(variances, max_size=3).map(tuple),
    cost=measured,
    notes=st.lists(st.text(), max_size=2).map(tuple),
    provenance=params,
    failure=st.none() | st.builds(Failure, sentence=st.text(), traceback=st.text()),
)  # fmt: skip


@given(record=records)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_record_survives_json(record: Record) -> None:
    again = Record.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False)))
    assert again == record
    assert again.digest == record.digest


def test_a_metric_that_is_not_finite_keeps_its_name_and_can_be_written_again() -> None:
    record = replace(succeeded(), metrics={"a": float("inf"), "b": float("nan"), "c": 1.0})
    values = record.to_dict()
    assert values["metrics"] == {"a": None, "b": None, "c": 1.0}
    assert Record.from_dict(values).to_dict() == values


def test_a_record_from_before_variances_were_measured_has_none() -> None:
    values = {name: value for name, value in succeeded().to_dict().items() if name != "output_variance"}
    assert Record.from_dict(values) == succeeded()


if __name__ == "__main__":
    assert sys.argv[1] == "fill"
    fill(Path(sys.argv[2]))
