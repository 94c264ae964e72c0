"""Records that cannot be sent to a store's address are kept and sent by the next command, none lost and none twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.errors import SymbenchError
from harness.records import remote
from harness.records.record import Record
from harness.records.remote import RemoteStore
from tests.harness.records.conftest import Broken, Machine, objects
from tests.harness.records.unsent import BAD, DIGEST, GOOD, HISTORY, RECORD, ROWS, age, write_in_vain
from tests.harness.synthetic import make_record

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
