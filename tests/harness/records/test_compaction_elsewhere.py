"""Compaction of a store at an address: no machine loses a record or has one twice."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from harness.errors import SymbenchError
from harness.records.compaction import compact
from harness.records.remote import RemoteStore
from tests.harness.records.compacted import ALL, ROWS, STATUSES, STEPS, assert_holds_all, filled
from tests.harness.records.conftest import Broken, Machine, objects
from tests.harness.records.test_crashes import dying
from tests.harness.synthetic import make_record


def address(store: RemoteStore) -> set[str]:
    """What of records is there."""
    return {name for name in objects(store) if name.startswith(("records/", "histories/", "segments/"))}


def shared(machine: Machine, number: int) -> tuple[RemoteStore, RemoteStore]:
    """Two machines of which each wrote some of the records and has read the others."""
    here, there = machine(f"here {number}"), machine(f"there {number}")
    for name in objects(here):
        here._objects.remove(name)
    for place, record in enumerate(ALL):
        (here if place % 2 else there).write(record, ROWS[: place % 4])
    there.refresh()
    return here, there


def assert_level(here: RemoteStore, there: RemoteStore, third: RemoteStore) -> None:
    for store in (there, third, here):
        assert_holds_all(store)
        assert not [path for path in store._ledger.unsent() if path.exists()]


@pytest.mark.usefixtures("small")
def test_whoever_dies_at_any_step_loses_and_doubles_no_record_elsewhere(nearby: Machine) -> None:
    for step in range(STEPS):
        here, there = shared(nearby, step)
        with dying(step, here._objects._files) as made:
            compact(here)
        for store in (there, nearby(f"third {step}")):
            assert_holds_all(store)
        assert_level(nearby(f"here {step}"), there, there)
        last = there if step % 2 else nearby(f"here {step}")
        compact(last)
        assert_level(nearby(f"here {step}"), there, nearby(f"fourth {step}"))
        assert address(here) == {
            name for one in last.segments.names() for name in (f"segments/{one}", f"segments/histories/{one}")
        }
        for store in (nearby(f"here {step}"), there):
            store.refresh()
            assert not list((store.root / "records").glob("*.json"))
            assert store.segments.names() == last.segments.names()
        if made[-1] != "died":
            assert step > 30
            return
    pytest.fail("it never came to an end")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("after", range(0, 16, 3))
def test_an_address_that_fails_on_the_way_loses_none(nearby: Machine, after: int) -> None:
    here, there = shared(nearby, 0)
    with Broken(here, after=after):
        try:
            compact(here)
        except SymbenchError as error:
            assert "out of order" in str(error)
    assert_level(nearby("here 0"), there, nearby("third"))


def test_a_segment_that_goes_away_there_is_sent_again_by_the_machine_that_made_it(nearby: Machine) -> None:
    here, there = shared(nearby, 0)
    compact(here)
    assert_level(here, there, nearby("third"))
    [name] = here.segments.names()
    here._objects.remove(f"segments/{name}")
    assert there.statuses() == {} and there.segments.names() == frozenset()
    assert here.statuses() == STATUSES
    assert_level(here, there, nearby("third"))


def test_a_record_that_was_not_sent_is_not_taken_in(nearby: Machine) -> None:
    here, _ = shared(nearby, 0)
    late = make_record(seed=9)
    with Broken(here, "records/"), pytest.raises(SymbenchError, match="is kept in"):
        here.write(late, ROWS)
    with Broken(here, "records/"), pytest.raises(SymbenchError, match="out of order"):
        compact(here)
    assert here.read(late.digest) == late and here.segments.find(late.digest, "succeeded") is None
    compact(nearby("here 0"))
    assert nearby("third").read(late.digest) == late


def test_of_two_that_succeeded_the_one_in_a_segment_counts_everywhere(nearby: Machine) -> None:
    here, there = shared(nearby, 0)
    ours, theirs = (make_record(seed=9, value=value) for value in (0.25, 0.75))
    with Broken(here, "records/"), pytest.raises(SymbenchError, match="is kept in"):
        here.write(ours, ROWS)
    there.write(theirs, ROWS[:2])
    compact(there)
    for store in (nearby("here 0"), there, nearby("third")):
        store.refresh()
        assert store.read(ours.digest) == theirs and store.history(ours.digest).height == 2
        assert not store._ledger.unsent()


@pytest.fixture
def only_segments(machine: Machine) -> Iterator[RemoteStore]:
    store = machine("here")
    filled(store)
    compact(store)
    yield store


@pytest.mark.alone
def test_on_an_object_store_the_others_read_what_was_compacted(only_segments: RemoteStore, machine: Machine) -> None:
    here, there = only_segments, machine("there")
    assert all(name.startswith("segments/") for name in address(here)) and len(address(here)) == 2
    assert there.read(ALL[0].digest) == ALL[0]
    assert_holds_all(there)
    done = make_record(seed=3)
    there.write(done, ROWS)
    assert here.statuses() == STATUSES | {done.digest: "succeeded"}
    assert here.read(done.digest) == done
    compact(there)
    assert here.read(done.digest) == done and here.history(done.digest).height == 3
    here.refresh()
    assert len(address(here)) == 2 and here.segments.names() == there.segments.names()
    assert pl.read_parquet(next((here.root / "segments").glob("*.parquet"))).height == len(ALL)
