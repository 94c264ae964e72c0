"""Launches, checkpoints and bundles that cannot be sent to a store's address, and the marks of what was not sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.bundles.exporting import export
from harness.bundles.importing import checked_bundle, import_bundle
from harness.collate import collate
from harness.errors import SymbenchError
from harness.records.layout import IMPORTED
from harness.records.ledger import Ledger
from harness.records.remote import RemoteStore
from harness.records.store import Store
from tasks.sources import atomic_files
from tasks.sources.atomic_files import make_folder
from tests.harness.records.conftest import Broken, Machine, objects
from tests.harness.records.unsent import DIGEST, GOOD, ROWS


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
