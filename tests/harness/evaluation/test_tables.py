"""Tables from Python are those of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from harness.bundles.exporting import export
from harness.collate import collate
from harness.collate.tables import Tables
from harness.errors import BundleError, StoreError
from harness.evaluation.tables import results
from harness.records.store import Store
from tests.harness.records.conftest import Machine
from tests.harness.synthetic import demo_records, write


def same(found: Tables, folder: Path) -> None:
    written: Mapping[str, pl.DataFrame] = {path.stem: pl.read_parquet(path) for path in folder.glob("*.parquet")}
    assert written.keys() == found.frames().keys()
    for name, frame in found.frames().items():
        assert_frame_equal(frame, written[name])


def test_tables_of_a_store_are_those_of_collate_and_no_file_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write(store.root, *demo_records())
    before = results(store.root)
    assert not (tmp_path / "tables").exists()
    collate(store)
    same(before, tmp_path / "tables")
    same(results(str(store.root)), tmp_path / "tables")  # from the cache


def test_tables_of_a_bundle_are_those_in_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write(store.root, *demo_records())
    export(store, tmp_path / "bundle")
    same(results(tmp_path / "bundle"), tmp_path / "bundle" / "tables")
    export(store, tmp_path / "bundle.zip")
    assert_frame_equal(results(str(tmp_path / "bundle.zip")).accuracy, results(tmp_path / "bundle").accuracy)


def test_tables_of_a_store_elsewhere(nearby: Machine) -> None:
    here = nearby("here")
    for record in demo_records()[:3]:
        here.write(record, [])
    found = results(nearby("there").address)
    assert sorted(found.runs["digest"]) == sorted(record.digest for record in demo_records()[:3])


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="neither a store nor a bundle at"):
        results(tmp_path / "none")
    (tmp_path / "bundle.zip").write_bytes(b"no archive")
    with pytest.raises(BundleError, match=r"bundle\.zip"):
        results(tmp_path / "bundle.zip")
