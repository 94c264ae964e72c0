"""What cannot be sent to a store's address is kept, said, and sent by the next command: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from harness.bundles.exporting import export
from harness.bundles.importing import checked_bundle, import_bundle
from harness.collate import collate
from harness.errors import SymbenchError
from harness.records import remote
from harness.records.history import HistoryRow
from harness.records.layout import IMPORTED
from harness.records.ledger import Ledger
from harness.records.record import Record
from harness.records.remote import RemoteStore
from harness.records.store import Store
from tasks.sources import atomic_files
from tasks.sources.atomic_files import make_folder
from tests.harness.records.conftest import Broken, Machine, objects
from tests.harness.synthetic import make_record

ROWS = [HistoryRow(0, "loss", 1.5, 0.1)]
GOOD, BAD = make_record(seed=0), make_record(seed=0, error="It broke.")
DIGEST = GOOD.digest
RECORD, HISTORY = f"records/{DIGEST}.json", f"histories/{DIGEST}.parquet"


def age(store: RemoteStore) -> None:
    """All that is in the folder looks as if it had lain there for years."""
    for path in store.root.rglob("*"):
        os.utime(path, (0, 0))


def write_in_vain(store: RemoteStore, record: Record, word: str, after: int = 0) -> None:
    with (
        Broken(store, word, after),
        pytest.raises(SymbenchError, match=r"is kept in .* on .*the next command.*out of order"),
    ):
        store.write(record, ROWS)


NEXT: dict[str, Callable[[Machine, RemoteStore], object]] = {
    "opening": lambda machine, store: machine("here"),
    "statuses": lambda machine, store: store.statuses(),
    "refresh": lambda machine, store: store.refresh(),
    "write": lambda machine, store: store.write(make_record(seed=7), ROWS),
}


@pytest.mark.parametrize("following", NEXT)
@pytest.mark.parametrize("word", ["records/", "histories/", "logs/"])
def test_a_record_that_was_not_sent_is_sent_by_the_next_command(nearby: Machine, word: str, following: str) -> None:
    here = nearby("here")
    here.log_path(DIGEST).write_text("log")
    write_in_vain(here, GOOD, word)
    assert RECORD not in objects(here)
    age(here)
    assert here.read(DIGEST) == GOOD
    NEXT[following](nearby, here)
    assert {RECORD, HISTORY, f"logs/{DIGEST}.log"} <= objects(here)
    there = nearby("there")
    assert there.read(DIGEST) == GOOD
    assert there.history(DIGEST).height == 1
    assert here.statuses()[DIGEST] == "succeeded"
    assert not here._ledger.unsent()


@pytest.mark.parametrize("before", [None, BAD], ids=["first", "after a failure"])
@pytest.mark.parametrize("after", range(4))
def test_whichever_change_fails_nothing_is_lost_and_a_record_comes_after_its_history(
    nearby: Machine, after: int, before: Record | None
) -> None:
    here, there = nearby("here"), nearby("there")
    if before is not None:
        here.write(before, ROWS)
        there.refresh()
    with Broken(here, after=after):
        try:
            here.write(GOOD, ROWS)
        except SymbenchError:
            assert here._ledger.unsent()
        assert RECORD not in objects(here) or HISTORY in objects(here)
        assert here.statuses() == {DIGEST: "succeeded"}
    age(here)
    assert nearby("here").statuses() == there.statuses() == {DIGEST: "succeeded"}
    assert there.read(DIGEST) == GOOD and there.history(DIGEST).height == 1
    assert objects(here) == {RECORD, HISTORY}
    assert not here._ledger.unsent()


def test_while_the_address_takes_nothing_the_record_stays_and_counts(
    nearby: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    here = nearby("here")
    write_in_vain(here, GOOD, "")
    with Broken(here):
        for _ in range(3):
            age(here)
            here.refresh()
            assert here.statuses() == {DIGEST: "succeeded"}
    assert "have gone" not in caplog.text
    assert len(here._ledger.unsent()[here.record_path(DIGEST, "succeeded")]) == 1
    assert "were not sent yet" in caplog.text and "out of order" in caplog.text
    assert here.read(DIGEST) == GOOD
    here.refresh()
    assert nearby("there").statuses() == {DIGEST: "succeeded"}


def test_a_put_that_fails_once_is_tried_again(nearby: Machine) -> None:
    here = nearby("here")
    with Broken(here, times=len(remote.WAITS)):
        here.write(GOOD, ROWS)
    assert objects(here) == {RECORD, HISTORY}


def test_a_full_disk_leaves_no_mark_of_what_was_not_written(nearby: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    here = nearby("here")

    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("harness.records.store.publish", full)
        with pytest.raises(SymbenchError, match="make room"):
            here.write(GOOD, ROWS)
    assert not here._ledger.unsent()
    assert here.statuses() == {}


def test_a_mark_whose_record_never_came_does_not_hinder_and_is_swept(nearby: Machine) -> None:
    here = nearby("here")
    here._mark(here.record_path(DIGEST, "succeeded"))
    assert here.statuses() == {}
    here._sweep()
    assert here._ledger.unsent()
    age(here)
    here._sweep()
    assert not here._ledger.unsent()


def test_a_failed_record_of_a_run_that_succeeded_elsewhere_is_not_sent(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    write_in_vain(here, BAD, "records/")
    there.write(GOOD, ROWS)
    here.refresh()
    assert here.read(DIGEST) == GOOD
    assert objects(here) == {RECORD, HISTORY}
    assert [path.name for path in (here.root / "records").glob("*.json")] == [f"{DIGEST}.json"]
    here.write(BAD, [])
    assert objects(here) == {RECORD, HISTORY}
    assert not here._ledger.unsent()


def test_of_two_that_succeeded_the_one_that_is_there_first_counts_everywhere(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    ours, theirs = (make_record(seed=0, value=value) for value in (0.25, 0.75))
    write_in_vain(here, ours, "records/")
    there.write(theirs, [*ROWS, *ROWS])
    here.refresh()
    for store in (here, there, nearby("third")):
        assert store.read(DIGEST) == theirs
        assert store.history(DIGEST).height == 2
    assert not here._ledger.unsent()


def test_a_failure_that_was_not_sent_is_replaced_by_a_later_one(nearby: Machine) -> None:
    here = nearby("here")
    later = make_record(seed=0, error="It broke again.")
    write_in_vain(here, BAD, "records/")
    here.write(later, ROWS)
    assert nearby("there").read(DIGEST) == later
    assert not here._ledger.unsent()


def test_a_change_made_while_an_earlier_one_is_sent_stays_marked(
    nearby: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes between the put and the end of the mark."""
    here = nearby("here")
    put = here._objects.put

    def slow(path: Path, name: str) -> None:
        put(path, name)
        if name.startswith("launches/"):
            monkeypatch.setattr(here._objects, "put", put)
            with Broken(here), pytest.raises(SymbenchError):
                here.write_launch("one", {"status": "succeeded"})

    monkeypatch.setattr(here._objects, "put", slow)
    here.write_launch("one", {"status": "running"})
    nearby("here")
    assert b"succeeded" in (here._objects.read("launches/one.json") or b"")


def test_a_mark_that_another_process_ends_too_soon_is_made_again(
    nearby: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends the account of before, since the new one is not yet in place."""
    here = nearby("here")
    here.write_launch("one", {"status": "running"})
    publish = atomic_files.publish

    def interrupted(files: Mapping[Path, bytes]) -> None:
        nearby("here")
        publish(files)

    with monkeypatch.context() as patch, Broken(here), pytest.raises(SymbenchError, match="is kept in"):
        patch.setattr("harness.records.store.publish", interrupted)
        here.write_launch("one", {"status": "succeeded"})
    assert sum(map(len, here._ledger.unsent().values())) == 1
    nearby("here")
    assert b"succeeded" in (here._objects.read("launches/one.json") or b"")


def test_an_address_that_takes_nothing_for_long_fills_no_folder(nearby: Machine) -> None:
    here = nearby("here")
    with Broken(here):
        for _ in range(9):
            with pytest.raises(SymbenchError, match="is kept in"):
                here.write_launch("one", {"status": "running"})
    assert len(list((here.root / "unsent").iterdir())) == 1


def test_the_end_of_a_launch_that_was_not_sent_is_sent_and_not_undone(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    here.write_launch("one", {"status": "running"})
    there.refresh()
    with Broken(here):
        for said in ({"status": "running", "progress": "far"}, {"status": "succeeded"}):
            with pytest.raises(SymbenchError, match="out of order"):
                here.write_launch("one", said)
            here.refresh()
            assert json.loads((here.root / "launches" / "one.json").read_bytes()) == said
    here.refresh()
    there.refresh()
    assert b"succeeded" in (there.root / "launches" / "one.json").read_bytes()


def test_what_others_wrote_is_dropped_when_it_has_gone_and_what_was_written_here_is_sent_again(
    nearby: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = nearby("here"), nearby("there")
    here.write(GOOD, ROWS)
    assert there.statuses() == {DIGEST: "succeeded"} and there.history(DIGEST).height == 1
    here._objects.remove(RECORD)
    assert there.statuses() == {}
    assert not there.history_path(DIGEST, "succeeded").exists()
    age(here)
    assert here.statuses() == {DIGEST: "succeeded"}
    assert "1 files of" in caplog.text and "sent again" in caplog.text
    assert there.statuses() == {DIGEST: "succeeded"}


def test_what_was_only_read_here_is_a_copy(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    assert there.read(DIGEST) is None
    here.write(GOOD, ROWS)
    assert there.read(DIGEST) == GOOD
    here._objects.remove(RECORD)
    assert there.statuses() == {}
    assert RECORD not in objects(here)


def test_what_was_copied_and_then_written_here_is_ours(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    here.write(BAD, ROWS)
    there.refresh()
    later = make_record(seed=0, error="It broke again.")
    there.write(later, ROWS)
    for name in (f"records/{DIGEST}.failed.json", f"histories/{DIGEST}.failed.parquet"):
        here._objects.remove(name)
    assert there.read(DIGEST) == later
    assert there.statuses() == {DIGEST: "failed"}


def test_a_record_that_goes_while_the_others_come_hinders_none(
    nearby: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = nearby("here"), nearby("there")
    here.write(GOOD, ROWS)
    here.write(make_record(seed=1, error="It broke."), ROWS)
    names = there._objects.names

    def listed(folder: str) -> set[str]:
        found = names(folder)
        here._objects.remove(f"records/{make_record(seed=1).digest}.failed.json")
        return found

    monkeypatch.setattr(there._objects, "names", listed)
    assert there.statuses() == {DIGEST: "succeeded"}


def test_copies_are_told_by_their_folder_and_marks_by_their_path(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    paths = [tmp_path / name for name in ("records/a b~c.json", "records.old/a.json", "segments/a", "logs/records/a")]
    for path in paths:
        ledger.add_copy(path)
    assert list(ledger.copies(tmp_path / "records")) == paths[:1]
    assert list(ledger.copies(tmp_path / "segments")) == paths[2:3]
    first, second = ledger.mark(paths[0]), ledger.mark(paths[0])
    ledger.mark(paths[2])
    assert list(ledger.copies(tmp_path / "records")) == []  # what is written here is no copy
    assert {path: len(marks) for path, marks in ledger.unsent().items()} == {paths[0]: 2, paths[2]: 1}
    ledger.clear(first)
    assert ledger.unsent()[paths[0]] == second
    ledger.renew(paths[0])
    assert len(ledger.unsent()[paths[0]]) == 1 and ledger.unsent()[paths[0]] != second


def test_a_file_is_ahead_unless_it_is_in_the_state_that_was_noted(tmp_path: Path) -> None:
    ledger, path = Ledger(tmp_path), tmp_path / "a"
    assert not ledger.is_ahead(path)
    path.write_bytes(b"1")
    assert ledger.is_ahead(path)
    ledger.note_level(path, ledger.state(path))
    assert not ledger.is_ahead(path)
    path.write_bytes(b"12")
    assert ledger.is_ahead(path)


# Checkpoints


def test_a_run_goes_on_from_a_state_that_could_not_be_sent(nearby: Machine) -> None:
    here = nearby("here")
    with here.checkpoint(DIGEST) as path:
        path.write_bytes(b"first")
    with Broken(here), here.checkpoint(DIGEST) as path:
        path.write_bytes(b"second")
    assert here._objects.read(f"checkpoints/{DIGEST}.pt") == b"first"
    with nearby("here").checkpoint(DIGEST) as path:
        assert path.read_bytes() == b"second"
    assert here._objects.read(f"checkpoints/{DIGEST}.pt") == b"second"


def test_a_run_that_went_further_elsewhere_goes_on_from_there(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    with here.checkpoint(DIGEST) as path:
        path.write_bytes(b"first")
    with there.checkpoint(DIGEST) as path:
        assert path.read_bytes() == b"first"
        path.write_bytes(b"second")
    with here.checkpoint(DIGEST) as path:
        assert path.read_bytes() == b"second"


def test_a_state_that_was_only_fetched_is_not_ahead(nearby: Machine) -> None:
    here, there = nearby("here"), nearby("there")
    with here.checkpoint(DIGEST) as path:
        path.write_bytes(b"first")
    with Broken(there), there.checkpoint(DIGEST) as path:
        assert path.read_bytes() == b"first"
    with here.checkpoint(DIGEST) as path:
        path.write_bytes(b"second")
    with there.checkpoint(DIGEST) as path:
        assert path.read_bytes() == b"second"


def test_a_checkpoint_that_cannot_be_discarded_is_discarded_by_the_next_command(nearby: Machine) -> None:
    here = nearby("here")
    with here.checkpoint(DIGEST) as path:
        path.write_bytes(b"first")
    with Broken(here):
        here.discard_checkpoint(DIGEST)
    assert not path.exists() and objects(here) == {f"checkpoints/{DIGEST}.pt"}
    nearby("here")
    assert objects(here) == set()


# Folders


@pytest.mark.parametrize("after", range(4))
def test_an_imported_bundle_is_whole_elsewhere_or_not_there(nearby: Machine, after: int) -> None:
    here, there = nearby("here"), nearby("there")
    target = here.root / IMPORTED / "theirs"

    def put() -> None:
        make_folder(target / "records")
        (target / "manifest.json").write_text("{}")
        for name in ("a.json", "b.json"):
            (target / "records" / name).write_text("{}\n")

    def seen(store: RemoteStore) -> set[str]:
        store.refresh()
        return {one.relative_to(store.root).as_posix() for one in (store.root / IMPORTED).rglob("*.json")}

    whole = {f"imported/theirs/{name}" for name in ("manifest.json", "records/a.json", "records/b.json")}
    with Broken(here, after=after):
        try:
            with here.sharing(target):
                put()
        except SymbenchError:
            assert after < 3
        assert seen(there) == (whole if after == 3 else set())
    nearby("here")
    assert seen(there) == whole


def test_what_is_imported_on_one_machine_is_there_on_all(nearby: Machine, tmp_path: Path) -> None:
    theirs = Store(tmp_path / "theirs")
    theirs.write(GOOD, ROWS)
    export(theirs, tmp_path / "lab")
    here, there = nearby("here"), nearby("there")
    import_bundle(here, checked_bundle(tmp_path / "lab"))
    sources = collate(there).runs["source"].to_list()
    assert len(sources) == 1 and sources[0].startswith("lab-")
    with pytest.raises(SymbenchError, match="imported before"):
        import_bundle(nearby("third"), checked_bundle(tmp_path / "lab"))


@pytest.mark.alone
def test_on_an_object_store_with_failing_puts_nothing_is_lost_and_nothing_twice(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    here.write(BAD, ROWS)
    write_in_vain(here, GOOD, "records/")
    write_in_vain(here, make_record(seed=1), "histories/")
    with Broken(here, ".failed"), pytest.raises(SymbenchError, match="out of order"):
        here.write(GOOD, ROWS)
    age(here)
    digests = {make_record(seed=seed).digest: "succeeded" for seed in range(2)}
    assert machine("here").statuses() == there.statuses() == digests
    for digest in digests:
        assert there.history(digest).height == 1
    wanted = {name for digest in digests for name in (f"records/{digest}.json", f"histories/{digest}.parquet")}
    assert objects(here) == wanted
