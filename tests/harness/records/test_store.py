"""The store: what it promises about records when disks are full, files are damaged and writers die."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from harness.errors import SymbenchError
from harness.records.record import Failure, Record
from harness.records.store import Store
from harness.records.weights import weights_file
from tests.harness.records.plain_records import ROWS, failed, path_of, spec, succeeded

KEPT = replace(succeeded(), weights=weights_file(spec().digest, b"weights"))


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
@pytest.mark.parametrize("record", [succeeded(), failed(), KEPT], ids=["succeeded", "failed", "kept weights"])
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
            store.write(record, ROWS, b"weights")
    assert store.statuses() == {}
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    store.write(record, ROWS, b"weights")
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
        from harness.records.store import Store
        from tests.harness.records.plain_records import ROWS, succeeded
        store = Store(Path(sys.argv[1]))
        print("go", flush=True)
        for round in range(10**6):
            store.write(succeeded(seed=round % 7, value=round), ROWS * 500)
    """)
    root = Path(__file__).parents[3]
    store = Store(tmp_path)
    for delay in (0.1, 0.2, 0.4):
        writer = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
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


def test_mlflow_lives_beside_the_records_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store(Path("store")).mlflow_uri == f"sqlite:///{tmp_path}/store/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:5000")
    assert Store(Path("store")).mlflow_uri == "http://there:5000"


if __name__ == "__main__":
    assert sys.argv[1] == "fill"
    fill(Path(sys.argv[2]))
