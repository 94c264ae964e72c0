"""Tables, bundles and imports of a store whose records were taken into segments are those of the records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from harness.bundles.bundle import read_bundle
from harness.bundles.exporting import export
from harness.bundles.importing import checked_bundle, import_bundle
from harness.bundles.reference import reference_runs
from harness.collate import collate, incremental, kept
from harness.records.compaction import compact
from harness.records.record_files import FAILED
from harness.records.segment_file import HISTORY, Kept, write_segment
from harness.records.segments import Segments
from harness.records.store import STATUSES, Store
from tests.harness.synthetic import demo_records, make_record, write

STAMP = list(incremental.STAMP)
NO_HISTORY = pl.DataFrame(schema=HISTORY)
RUNS = st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from(STATUSES)), max_size=4)


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
    strange = Kept("0" * 16, "failed", "2026", json.dumps({"schema": 1}), NO_HISTORY)
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


@settings(max_examples=60, deadline=None)
@given(st.lists(RUNS.filter(bool), max_size=4), RUNS)
def test_of_each_run_the_success_counts_then_the_file_then_the_later_segment(
    tmp_path_factory: pytest.TempPathFactory, segments: list[set[tuple[str, str]]], files: set[tuple[str, str]]
) -> None:
    """Of runs that are in segments and in files; which file counts is not asked here."""
    folder = tmp_path_factory.mktemp("segments")
    (folder / "histories").mkdir()
    found = Segments(folder)
    names = []
    for runs in segments:
        write_segment(path := found.new_path(), [Kept(*run, "2026", "{}", NO_HISTORY) for run in sorted(runs)])
        names.append(path.name)
    expected = set()
    for digest in "abc":
        succeeded, failed = (
            [place for place, runs in enumerate(segments) if (digest, status) in runs] for status in STATUSES
        )
        if (digest, "succeeded") in files or (not succeeded and (digest, "failed") in files):
            continue
        if places := succeeded or failed:
            place, status = places[-1], "succeeded" if succeeded else "failed"
            row = sorted(segments[place]).index((digest, status))
            expected.add((f"segments/{names[place]}/{_file(digest, status)}", names[place], row))
    kept_rows = kept.kept_records(found, pl.Series("file", [f"records/{_file(*run)}" for run in files], pl.String))
    assert set(kept_rows.select("file", "segment", "row").rows()) == expected
    assert kept_rows.height == len(expected)


def _file(digest: str, status: str) -> str:
    return f"{digest}{FAILED if status == 'failed' else ''}.json"


def test_a_file_counts_more_than_a_segment_whatever_the_clocks_of_two_machines_say(store: Store) -> None:
    store.write(replace(make_record(value=0.5), finished="2027-01-01T00:00:00+00:00"), [])
    compact(store)
    assert collate(store).runs["value"].to_list() == [0.5]
    store.write(make_record(value=0.25), [])
    assert collate(store).runs["value"].to_list() == [0.25]


def segment_of(store: Store, runs: Sequence[Mapping[str, Any]]) -> str:
    path = store.segments.new_path()
    named = sorted((run["digest"], json.dumps(run)) for run in runs)
    write_segment(path, [Kept(digest, "succeeded", "2026", body, NO_HISTORY) for digest, body in named])
    return path.name


def test_rows_of_a_segment_keep_their_places_beside_what_counts_no_more_and_what_is_no_record(store: Store) -> None:
    """As many records count as could be read, and they are others."""
    records = sorted((make_record(seed=seed, value=seed) for seed in range(3)), key=lambda record: record.digest)
    strange = {"digest": "f" * 17, "schema": 1}
    name = segment_of(store, [*(record.to_dict() for record in records), strange])
    store.write(replace(records[0], metrics={"mse": 9.0}), [])
    tables = collate(store)
    assert dict(tables.runs.select("digest", "value").iter_rows()) == {
        records[0].digest: 9.0,
        **{record.digest: record.spec.seed for record in records[1:]},
    }
    assert dict(tables.runs.select("digest", "file").iter_rows()) == {
        records[0].digest: f"records/{records[0].digest}.json",
        **{record.digest: f"segments/{name}/{record.digest}.json" for record in records[1:]},
    }
    assert [left.file for left in tables.left_out] == [f"segments/{name}/{strange['digest']}.json"]


def test_a_segment_is_parsed_some_records_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "BATCH", 2)
    records = sorted((make_record(seed=seed, value=seed) for seed in range(5)), key=lambda record: record.digest)
    name = segment_of(store, [record.to_dict() for record in records])
    rows = kept.KeptRows(store.segments.folder, store.segments, "1").of(name)
    assert rows.select("row", "digest").rows() == [(row, record.digest) for row, record in enumerate(records)]


def test_a_segment_is_parsed_once_for_each_layout(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [make_record(seed=seed).to_dict() for seed in range(3)]
    name, parsed, read = segment_of(store, records), [], kept.read_row

    def noted(raw: str) -> dict[str, Any]:
        parsed.append(raw)
        return read(raw)

    monkeypatch.setattr(kept, "read_row", noted)
    for layout, times in (("1", 1), ("1", 1), ("2", 2), ("2", 2), ("1", 3)):
        rows = kept.KeptRows(store.segments.folder, store.segments, layout)
        assert rows.of(name).height == 3 and len(parsed) == 3 * times


@pytest.mark.parametrize("collating", [kept.keep_rows, collate])
def test_rows_of_a_segment_that_has_gone_go_too(store: Store, collating: Callable[[Store], object]) -> None:
    for seed in range(2):
        store.write(make_record(seed=seed), [])
        compact(store)  # takes in the segment from before, which is small
        collating(store)
        assert {path.name for path in (store.segments.folder / "rows").iterdir()} == store.segments.names()
