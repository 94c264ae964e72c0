"""Tables, bundles and imports of a store whose records were taken into segments are those of the records."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from harness.collate import collate, incremental
from harness.exchange.bundle import read_bundle
from harness.exchange.exporting import export
from harness.exchange.importing import checked_bundle, import_bundle
from harness.exchange.reference import reference_runs
from harness.records.compaction import compact
from harness.records.segment_file import HISTORY, Kept, write_segment
from harness.records.store import Store
from tests.harness.synthetic import demo_records, make_record, write

STAMP = list(incremental.STAMP)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "store")


def test_tables_are_those_of_the_files(store: Store) -> None:
    write(store.root, *demo_records())
    before = collate(store)
    compact(store)
    assert not list((store.root / "records").glob("*.json"))
    after = collate(store)
    for name, table in before.frames().items():
        drop = [column for column in STAMP if column in table.columns]
        assert_frame_equal(after.frames()[name].drop(drop), table.drop(drop))
    assert_frame_equal(reference_runs(store.root).drop(STAMP), after.runs.drop(STAMP))


def test_of_a_segment_only_what_is_new_is_parsed(store: Store) -> None:
    records = demo_records()
    write(store.root, *records)
    compact(store)
    assert collate(store).parsed == len(records) and collate(store).parsed == 0
    failed = next(record for record in records if record.failure)
    again = make_record(failed.spec.task, failed.spec.method, seed=failed.spec.seed, error="It broke again.")
    store.write(again, [])
    tables = collate(store)
    assert tables.parsed == 1 and tables.runs.height == len(records)
    assert tables.runs.filter(digest=failed.digest)["error"].to_list() == ["It broke again."]


def test_a_failure_that_was_made_good_is_no_row(store: Store) -> None:
    for record in (make_record(error="It broke."), make_record(value=0.25)):
        store.write(record, [])
        tables = collate(store)
        compact(store)
    assert tables.runs["value"].to_list() == collate(store).runs["value"].to_list() == [0.25]
    assert collate(store).parsed == 0


def test_files_that_go_into_a_segment_while_they_are_read_are_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store.root, *demo_records())
    scan = incremental.kept_records

    def scanned(*words: object) -> pl.DataFrame:
        found = scan(*words)  # type: ignore[arg-type]
        compact(store)
        return found

    monkeypatch.setattr(incremental, "kept_records", scanned)
    assert collate(store).runs.height == len(demo_records())


def test_what_is_no_record_in_a_segment_is_left_out_and_named(store: Store) -> None:
    write(store.root, make_record())
    compact(store)
    strange = Kept("0" * 16, "failed", "2026", json.dumps({"schema": 1}), pl.DataFrame(schema=HISTORY))
    write_segment(store.segments.new_path(), [strange])
    tables = collate(store)
    assert tables.runs.height == 1
    [left] = tables.left_out
    assert left.file.startswith("segments/00000002-") and left.file.endswith(f"/{'0' * 16}.failed.json")


def test_a_bundle_of_a_compacted_store_is_that_of_its_files(store: Store, tmp_path: Path) -> None:
    write(store.root, *demo_records())
    export(store, tmp_path / "files")
    compact(store)
    export(store, tmp_path / "segments")
    bodies = [pl.read_parquet(tmp_path / name / "records.parquet") for name in ("files", "segments")]
    assert_frame_equal(*bodies)
    assert read_bundle(tmp_path / "segments")[0].runs == len(demo_records())
    found = import_bundle(store, checked_bundle(tmp_path / "files"))
    assert (found.added, found.known) == (0, len(demo_records()))
