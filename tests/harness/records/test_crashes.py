"""Processes that die, and machines that lose power, at any step of a write: a record or none, and no record without its
history and its weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SymbenchError
from harness.records.history import HistoryRow
from harness.records.record import Record
from harness.records.store import Store
from harness.records.weights import weights_file
from tests.harness.disk import Disk
from tests.harness.records.conftest import Machine, objects
from tests.harness.synthetic import make_record

ROWS = [HistoryRow(0, "loss", 1.5, 0.1)]
GOOD, BAD = make_record(seed=0), make_record(seed=0, error="It broke.")
DIGEST = GOOD.digest
BODY = b"weights"
KEPT = replace(GOOD, weights=weights_file(DIGEST, BODY))
WEIGHTS = KEPT.weights.file if KEPT.weights else ""
STEPS = 40


class Died(BaseException):
    """Nothing that the process does after this has an effect."""


@contextmanager
def dying(step: int, files: Any = None) -> Iterator[list[str]]:
    """The process dies before its change number ``step``; gives the changes that were made."""
    made: list[str] = []
    patch = pytest.MonkeyPatch()

    def mortal(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **options: Any) -> Any:
            if len(made) >= step:
                raise Died
            made.append(f"{name} {Path(str(words[-1])).name}")
            return whole(*words, **options)

        return call

    for name in ("replace", "rename", "unlink", "write"):
        patch.setattr(os, name, mortal(name, getattr(os, name)))
    for name in ("put_file", "rm_file", "pipe_file") if files is not None else ():
        patch.setattr(files, name, mortal(name, getattr(files, name)))
    try:
        yield made
    except Died:
        made.append("died")
    finally:
        patch.undo()


@pytest.mark.parametrize("before", [None, BAD], ids=["first", "after a failure"])
@pytest.mark.parametrize("record", [GOOD, BAD, KEPT], ids=["succeeds", "fails", "keeps weights"])
def test_a_writer_that_dies_at_any_step_leaves_a_whole_record_or_none(
    tmp_path: Path, record: Record, before: Record | None
) -> None:
    for step in range(STEPS):
        store = Store(tmp_path / str(step))
        if before is not None:
            store.write(before, ROWS[:0])
        with dying(step) as made:
            store.write(record, ROWS, BODY)
        again = Store(tmp_path / str(step))
        statuses = again.statuses()
        assert statuses.get(DIGEST) in ({None, record.status} if before is None else {"failed", record.status})
        if statuses.get(DIGEST) == "succeeded":
            assert again.history(DIGEST).height == 1
            assert record is not KEPT or (again.root / WEIGHTS).read_bytes() == BODY
        assert not list((again.root / "records").glob("corrupt/*"))
        if made[-1] != "died":
            assert statuses == {DIGEST: record.status} and step > 4
            return
        again.write(record, ROWS, BODY)
        assert again.read(DIGEST) == record and again.history(DIGEST).height == 1
    pytest.fail("it never came to an end")


@pytest.mark.parametrize("before", [None, BAD], ids=["first", "after a failure"])
@pytest.mark.parametrize("record", [GOOD, KEPT], ids=["succeeds", "keeps weights"])
def test_a_writer_that_dies_at_any_step_leaves_nothing_unsent_for_good(
    nearby: Machine, record: Record, before: Record | None
) -> None:
    files = {f"histories/{DIGEST}.parquet", *([WEIGHTS] if record is KEPT else [])}
    for step in range(STEPS):
        here, there = nearby(f"here {step}"), nearby(f"there {step}")
        for name in objects(here):
            here._objects.remove(name)
        if before is not None:
            here.write(before, ROWS[:0])
        with dying(step, here._objects._files) as made:
            here.write(record, ROWS, BODY)
        assert f"records/{DIGEST}.json" not in objects(here) or files <= objects(here)
        kept = here.record_path(DIGEST, "succeeded").exists()
        again = nearby(f"here {step}")
        wanted = {DIGEST: "succeeded"} if kept else {DIGEST: "failed"} if before else {}
        assert again.statuses() == there.statuses() == wanted
        if kept:
            assert there.read(DIGEST) == record and there.history(DIGEST).height == 1
            assert objects(here) == {f"records/{DIGEST}.json", *files}
        if made[-1] != "died":
            assert kept and step > 6
            return
    pytest.fail("it never came to an end")


@pytest.mark.parametrize("record", [GOOD, BAD, KEPT], ids=["succeeds", "fails", "keeps weights"])
def test_a_record_is_on_disk_after_its_history_and_before_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    store = Store(tmp_path)
    disk = Disk(tmp_path, monkeypatch)
    store.write(record, ROWS, BODY)
    end, kept = ".failed" if record is BAD else "", record is KEPT
    history, body = f"histories/{DIGEST}{end}.parquet", f"records/{DIGEST}{end}.json"
    assert disk.events == [
        *([f"sync {WEIGHTS}*"] if kept else []),
        f"sync {history}*",
        f"sync {body}*",
        *([f"move {WEIGHTS}", "sync weights"] if kept else []),
        f"move {history}",
        "sync histories",
        f"move {body}",
        "sync records",
    ]
    assert disk.unsafe() == []


def test_a_new_store_and_the_account_of_a_launch_are_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, monkeypatch)
    store = Store(tmp_path / "a" / "store")
    assert disk.events[:3] == ["sync .", "sync a", "sync a/store"]
    del disk.events[:]
    store.write_launch("one", {"status": "running"})
    assert disk.events == [
        "sync a/store/launches/one.json*",
        "move a/store/launches/one.json",
        "sync a/store/launches",
    ]


def test_a_mark_is_on_disk_before_the_record_that_it_stands_for(
    nearby: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = nearby("here")
    disk = Disk(here.root, monkeypatch)
    here.write(GOOD, ROWS)
    names = [event.partition("/")[0] for event in disk.events]
    assert names[:3] == ["sync unsent", "move unsent", "sync unsent"]
    assert names.index("move records") > 2
    assert disk.unsafe() == []


def test_a_fetched_file_is_whole_before_it_has_its_name(nearby: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = nearby("here"), nearby("there")
    here.write(GOOD, ROWS)
    disk = Disk(there.root, monkeypatch)
    assert there.read(DIGEST) == GOOD
    assert disk.unsafe() == []
    get = there._objects._files.get_file

    def torn(name: str, path: str) -> None:
        get(name, path)
        os.truncate(path, 10)
        raise OSError("the line broke")

    monkeypatch.setattr(there._objects._files, "get_file", torn)
    with pytest.raises(SymbenchError, match="the line broke"):
        there.history(DIGEST)
    assert not list((there.root / "histories").iterdir())
