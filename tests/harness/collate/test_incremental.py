"""Collating again gives what collating from scratch gives, and no file in the folder can stop it."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from harness.collate import Tables, collate
from harness.collate import incremental as incremental_module
from harness.collate import tables as tables_module
from harness.errors import SymbenchError
from harness.records.compaction import compact
from harness.records.store import Store
from tests.harness.synthetic import demo_records, make_record, write

STAMP = list(incremental_module.STAMP)
STEPS = ["add", "change", "remove", "fail", "damage", "collate", "compact"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "store")


def assert_same(one: Tables, other: Tables) -> None:
    for name, frame in one.frames().items():
        drop = [column for column in ("file_mtime_ns",) if column in frame.columns]
        assert_frame_equal(frame.drop(drop), other.frames()[name].drop(drop))


def test_files_written_by_the_store_are_read_back(store: Store) -> None:
    store.write(make_record(value=0.25), [])
    store.write(make_record(seed=1, error="It broke."), [])
    tables = collate(store)
    assert tables.runs.select("status", "seed", "value", "error").rows() == [
        ("succeeded", 0, 0.25, None),
        ("failed", 1, None, "It broke."),
    ]
    assert tables.left_out == ()


def test_parquet_and_csv_lie_beside_the_store(store: Store) -> None:
    write(store.root, *demo_records())
    tables = collate(store)
    out = store.root.parent / "tables"
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{name}.{ending}" for name in tables.frames() for ending in ("csv", "parquet")
    )
    for name, frame in tables.frames().items():
        assert_frame_equal(pl.read_parquet(out / f"{name}.parquet"), frame)
        csv = pl.read_csv(out / f"{name}.csv", infer_schema_length=None)
        assert csv.columns == frame.columns and csv.height == frame.height
    curves = pl.read_csv(out / "runs.csv", infer_schema_length=None)["curve"]
    assert any(len(json.loads(text)) == 7 for text in curves)
    began = pl.read_csv(out / "runs.csv", infer_schema_length=None)["started"]
    assert set(began) == {record.started for record in demo_records()}


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=12), st.randoms())
def test_incremental_equals_cold(tmp_path_factory: pytest.TempPathFactory, steps: list[str], chance: Any) -> None:
    store = Store(tmp_path_factory.mktemp("store") / "store")
    folder = store.root / "records"
    for number, step in enumerate(steps):
        files = sorted(folder.glob("*.json"))
        if step == "add":
            write(store.root, make_record(method="gnn-ga", seed=number, value=number / 7))
        elif step == "fail":
            write(store.root, make_record(method="egnn", seed=number, error=f"Failure {number}."))
        elif step == "collate":
            collate(store)
        elif step == "compact":
            compact(store)
        elif files:
            victim = chance.choice(files)
            if step == "remove":
                victim.unlink()
            elif step == "damage":
                victim.write_bytes(victim.read_bytes()[: chance.randrange(1000)])
            elif (body := _whole(victim)) is not None:
                victim.write_text(json.dumps(body | {"metrics": {"mse": number + 10.5}}))
    warm = collate(store)
    cold = collate(store, store.root.parent / "elsewhere")
    assert_same(warm, cold)
    assert warm.left_out == cold.left_out


def _whole(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def test_only_new_records_are_parsed(store: Store) -> None:
    write(store.root, make_record(seed=0), make_record(seed=1))
    assert collate(store).parsed == 2
    before = {path: path.stat().st_mtime_ns for path in (store.root.parent / "tables").iterdir()}
    assert collate(store).parsed == 0
    assert before == {path: path.stat().st_mtime_ns for path in (store.root.parent / "tables").iterdir()}
    write(store.root, make_record(seed=2))
    assert collate(store).parsed == 1


def test_a_record_that_was_removed_leaves_every_table(store: Store) -> None:
    first, second = write(store.root, make_record(seed=0), make_record(seed=1))
    assert collate(store).accuracy["seeds"].to_list() == [2]
    second.unlink()
    tables = collate(store)
    assert (tables.parsed, tables.runs["seed"].to_list(), tables.accuracy["seeds"].to_list()) == (0, [0], [1])
    first.unlink()
    assert collate(store).runs.is_empty()


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    records = demo_records()
    tables = []
    for name, ordered in (("one", records), ("other", records[::-1])):
        write(tmp_path / name / "store", *ordered)
        for position, path in enumerate(sorted((tmp_path / name / "store" / "records").iterdir())):
            os.utime(path, ns=(position, position))
        tables.append(collate(Store(tmp_path / name / "store")))
    assert_same(*tables)


def body_of(**changes: Any) -> str:
    return json.dumps(make_record(seed=7).to_dict() | changes)


DAMAGED = {
    "half": body_of()[:500],
    "empty": "",
    "binary": "\x00\x01\x02",
    "list": "[1, 2]",
    "number": "3",
    "no schema": "{}",
    "no spec": body_of(spec=None),
    "text metric": body_of(metrics={"mse": "low"}),
    "unknown status": body_of(status="maybe"),
    "deep": "[" * 100_000,
    "huge seed": body_of(spec=make_record().spec.to_dict() | {"seed": 2**70}),
    "not utf-8": None,
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_record_is_left_out_with_a_counted_warning(
    store: Store, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    write(store.root, make_record(value=0.5))
    damaged = store.root / "records" / "0123456789abcdef.json"
    damaged.write_bytes(b'{"schema": 1, "suite": "\xff\xfe"}' if text is None else text.encode())
    with caplog.at_level(logging.WARNING):
        tables = collate(store)
    assert tables.runs["value"].to_list() == [0.5]
    assert [item.file for item in tables.left_out] == [f"records/{damaged.name}"]
    assert "1 record is left out: damaged or incomplete" in caplog.text
    assert damaged.exists()


def test_records_of_a_newer_schema_are_counted_in_one_sentence(store: Store) -> None:
    write(store.root, make_record())
    for number in range(3):
        (store.root / "records" / f"{number:016x}.json").write_text(json.dumps({"schema": 99, "unknown": "shape"}))
    tables = collate(store)
    assert tables.runs.height == 1
    assert len(tables.warnings()) == 1
    assert tables.warnings()[0].startswith("3 records are left out: written with schema 99, newer than the schema 1")


def test_files_being_written_and_folders_are_no_records(store: Store) -> None:
    write(store.root, make_record())
    (store.root / "records" / ".tmp.json").write_text("half")
    (store.root / "records" / "abc.json.tmp").write_text("half")
    (store.root / "records" / "corrupt.json").mkdir()
    tables = collate(store)
    assert (tables.runs.height, tables.left_out) == (1, ())


def test_an_empty_store_gives_empty_tables(store: Store) -> None:
    tables = collate(store)
    assert all(frame.is_empty() for frame in tables.frames().values())
    assert "mean" in tables.accuracy.columns


def test_a_damaged_or_older_cache_is_rebuilt(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store.root, make_record(seed=0), make_record(seed=1))
    first = collate(store)
    cache = store.root.parent / "tables" / "runs.parquet"
    cache.write_bytes(cache.read_bytes()[:-100])
    again = collate(store)
    assert again.parsed == 2
    assert_same(first, again)
    monkeypatch.setattr(incremental_module, "LAYOUT", "another")
    assert collate(store).parsed == 2


def test_non_finite_numbers_become_null(store: Store) -> None:
    body = make_record(method="gnn-ga").to_dict()
    body["metrics"] = {"mse": float("inf"), "loss": 0.25}
    body["curve"][0] |= {"value": float("nan")}
    body["cost"] |= {"peak_memory_bytes": 1e300}
    (store.root / "records" / f"{body['digest']}.json").write_text(json.dumps(body))
    tables = collate(store)
    row = tables.runs.row(0, named=True)
    assert row["value"] is None and row["peak_memory_bytes"] is None
    assert row["metrics"] == [{"name": "loss", "value": 0.25}, {"name": "mse", "value": None}]
    assert tables.accuracy.select("seeds", "undefined").row(0) == (0, 1)
    assert tables.sample_complexity["mean"].null_count() == 1


def test_an_unwritable_folder_gives_one_sentence(store: Store, tmp_path: Path) -> None:
    write(store.root, make_record())
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SymbenchError, match=r"^The tables cannot be written to .*file \(File exists\)\.$"):
        collate(store, tmp_path / "file")


def test_a_kill_between_two_files_is_made_good(store: Store) -> None:
    write(store.root, make_record(seed=0))
    collate(store)
    out = store.root.parent / "tables"
    shutil.copytree(out, out.parent / "before")
    write(store.root, make_record(seed=1))
    collate(store)
    shutil.copy(out.parent / "before" / "runs.parquet", out)  # runs is written last, so this is what a kill leaves
    (out / "accuracy.csv").unlink()
    collate(store)
    assert pl.read_csv(out / "accuracy.csv")["seeds"].to_list() == [2]
    assert pl.read_parquet(out / "runs.parquet").height == 2


def test_tables_are_replaced_whole_and_the_cache_is_the_last_of_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store.root, make_record(seed=0))
    collate(store)
    out = store.root.parent / "tables"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    written: list[str] = []
    move, csv = os.replace, pl.DataFrame.write_csv

    def noted(source: Path, target: Path) -> None:
        written.append(target.name)
        move(source, target)

    monkeypatch.setattr(os, "replace", noted)
    write(store.root, make_record(seed=1))
    collate(store)
    assert len(written) == 14 and written[-1] == "runs.parquet"

    def half(self: pl.DataFrame, file: Any, **options: Any) -> None:
        csv(self, file, **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", half)
    between = {path.name: path.read_bytes() for path in out.iterdir()}
    assert between.keys() == before.keys()
    write(store.root, make_record(seed=2))
    with pytest.raises(SymbenchError, match="No space left"):
        collate(store)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == between


def test_a_table_that_was_deleted_is_written_again(store: Store) -> None:
    write(store.root, make_record())
    collate(store)
    for name in ("accuracy.csv", "runs.csv"):
        (store.root.parent / "tables" / name).unlink()
        assert collate(store).parsed == 0
        assert (store.root.parent / "tables" / name).is_file()


def vanishing(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file goes between the scan that finds it and the read."""
    read = Path.read_bytes

    def gone(path: Path) -> bytes:
        if path == record:
            path.unlink(missing_ok=True)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", gone)


def test_a_record_that_is_replaced_while_it_is_read_is_none_that_is_damaged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _first, second = write(store.root, make_record(seed=0), make_record(seed=1))
    vanishing(second, monkeypatch)
    tables = collate(store)
    assert (tables.runs["seed"].to_list(), tables.left_out) == ([0], ())


def test_a_bundle_that_is_being_imported_is_not_read(store: Store) -> None:
    write(store.root, make_record(seed=0))
    write(store.root / "imported" / ".lab-0123.tmp", make_record(seed=1))
    write(store.root / "imported" / "lab-4567", make_record(seed=2))
    runs = collate(store).runs.sort("seed")
    assert runs.select("seed", "source").rows() == [(0, None), (2, "lab-4567")]


def test_a_record_that_changed_is_read_again_though_it_is_as_long_as_before(store: Store) -> None:
    (path,) = write(store.root, make_record(value=0.25))
    collate(store)
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    write(store.root, make_record(value=0.75))
    os.utime(path, ns=(time, time + 1))
    assert path.stat().st_size == size
    assert collate(store).runs["value"].to_list() == [0.75]


def test_records_are_read_some_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental_module, "BATCH", 2)
    write(store.root, *(make_record(seed=seed, value=seed) for seed in range(5)))
    tables = collate(store)
    assert (tables.parsed, tables.runs["value"].to_list()) == (5, [0, 1, 2, 3, 4])


def test_a_record_that_may_not_be_read_is_left_out_and_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _first, second = write(store.root, make_record(seed=0), make_record(seed=1))
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path == second:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    tables = collate(store)
    assert tables.runs["seed"].to_list() == [0]
    assert tables.left_out == (incremental_module.LeftOut(f"records/{second.name}", "Permission denied", False),)
    monkeypatch.undo()
    assert collate(store).runs["seed"].to_list() == [0, 1]


def test_what_goes_while_it_is_read_again_leaves_every_table(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was in the tables of last time, and the second scan finds what the first one did."""
    _first, second = write(store.root, make_record(seed=0), make_record(seed=1))
    collate(store)
    second.write_text(second.read_text() + " ")
    vanishing(second, monkeypatch)
    tables = collate(store)
    assert (tables.runs["seed"].to_list(), tables.accuracy["seeds"].to_list()) == ([0], [1])
    assert pl.read_parquet(store.root.parent / "tables" / "accuracy.parquet")["seeds"].to_list() == [1]


def test_tables_of_two_times_are_no_cache_though_the_records_are_those_of_the_first(store: Store) -> None:
    """A kill left runs of the first time beside tables of the second, and what was new then is gone."""
    write(store.root, make_record(seed=0))
    collate(store)
    out = store.root.parent / "tables"
    runs = (out / "runs.parquet").read_bytes()
    (second,) = write(store.root, make_record(seed=1))
    collate(store)
    (out / "runs.parquet").write_bytes(runs)
    second.unlink()
    tables = collate(store)
    assert (tables.runs["seed"].to_list(), tables.accuracy["seeds"].to_list()) == ([0], [1])


def test_a_long_table_has_one_header_and_an_empty_one_has_it_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = collate(store, store.root.parent / "empty")
    for name, frame in empty.frames().items():
        text = (store.root.parent / "empty" / f"{name}.csv").read_text()
        assert text == ",".join(frame.columns) + "\n"
    monkeypatch.setattr(tables_module, "CSV_ROWS", 2)
    for seeds in (4, 5):
        write(store.root, *(make_record(seed=seed) for seed in range(seeds)))
        collate(store)
        csv = pl.read_csv(store.root.parent / "tables" / "runs.csv", infer_schema_length=None)
        assert csv["seed"].to_list() == list(range(seeds))


def test_what_was_left_out_is_counted_and_the_first_of_it_named(store: Store) -> None:
    folder = store.root / "records"
    for name in ("c", "a", "b"):
        (folder / f"{name}.json").write_text(f'{{"schema": 1, "digest": "{name}"')
    for number, schema in enumerate((3, 2, 3)):
        (folder / f"{number}.json").write_text(json.dumps({"schema": schema}))
    newer, *rest, corrupt = collate(store).warnings()
    assert newer.startswith("1 record is left out: written with schema 2, newer than the schema 1")
    assert [sentence.partition(",")[0] for sentence in rest] == ["2 records are left out: written with schema 3"]
    assert corrupt.startswith("3 records are left out: damaged or incomplete, the first is records/a.json (no complete")
    many = (incremental_module.LeftOut("a", "torn", False),) * 1234
    assert replace(collate(store), left_out=many).warnings()[0].startswith("1,234 records are left out")
