"""What is exported comes back as it was, kept apart; what was changed on the way is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from harness.bundles.bundle import MANIFEST, RECORDS, manifest_bytes, manifest_of, read_bundle
from harness.bundles.exporting import export
from harness.bundles.importing import checked_bundle, import_bundle
from harness.cli import app
from harness.collate import collate
from harness.collate.incremental import STAMP
from harness.errors import SymbenchError
from harness.records.record import Record
from harness.records.store import Store
from tests.harness.synthetic import make_record, write

OURS = [make_record(seed=seed, value=0.1 + seed) for seed in range(3)]
FAILED = make_record(method="gnn-ga", error="It broke.")


def store_of(root: Path, *records: Record) -> Store:
    write(root, *records)
    return Store(root)


@pytest.fixture(params=["folder", "zip"])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    out = tmp_path / ("lab.zip" if request.param == "zip" else "lab")
    export(store_of(tmp_path / "theirs" / "store", *OURS, FAILED), out)
    return out


def rewritten(bundle: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The bundle with its files changed, in the form it had."""
    if bundle.is_dir():
        files = {str(path.relative_to(bundle)): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    else:
        with zipfile.ZipFile(bundle) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    target = bundle.with_name(f"changed-{bundle.name}")
    if bundle.is_dir():
        for name, body in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(body)
    else:
        with zipfile.ZipFile(target, "w") as archive:
            for name, body in files.items():
                archive.writestr(name, body)
    return target


def sealed(files: dict[str, bytes], records: pl.DataFrame) -> None:
    """Other records under a manifest that fits them, as only somebody who means harm would write it."""
    buffer = BytesIO()
    records.write_parquet(buffer)
    files[RECORDS] = buffer.getvalue()
    rest = {name: body for name, body in files.items() if name != MANIFEST}
    manifest = manifest_of(rest, name="lab", created="", version=None, runs=records.height)
    files[MANIFEST] = manifest_bytes(manifest)


def records_in(files: dict[str, bytes]) -> pl.DataFrame:
    return pl.read_parquet(BytesIO(files[RECORDS]))


def test_a_round_trip_keeps_every_number_and_its_provenance(bundle: Path, tmp_path: Path) -> None:
    theirs = collate(Store(tmp_path / "theirs" / "store"))
    store = store_of(tmp_path / "mine" / "store")
    found = import_bundle(store, checked_bundle(bundle))
    assert (found.added, found.known, found.repeated, found.differing) == (4, 0, 0, 0)
    mine = collate(store)
    assert set(mine.runs["source"]) == {found.source}
    own = ["source", "setting", "series", "setting_label", *STAMP]
    assert_frame_equal(mine.runs.drop(own), theirs.runs.drop(own))
    for name in (f"{record.digest}{'.failed' * (record is FAILED)}.json" for record in (*OURS, FAILED)):
        original = (tmp_path / "theirs" / "store" / "records" / name).read_bytes()
        assert (store.root / "imported" / found.source / "records" / name).read_bytes() == original


def test_the_tables_of_a_bundle_are_those_of_its_records(bundle: Path, tmp_path: Path) -> None:
    _, files = read_bundle(bundle)
    tables = collate(Store(tmp_path / "theirs" / "store"))
    for name, frame in tables.frames().items():
        assert_frame_equal(pl.read_parquet(BytesIO(files[f"tables/{name}.parquet"])), frame.drop(STAMP, strict=False))


def test_others_numbers_are_never_pooled_with_ours(bundle: Path, tmp_path: Path) -> None:
    other = [make_record(seed=seed, value=5.0 + seed) for seed in range(3)]
    store = store_of(tmp_path / "mine" / "store", *other)
    found = import_bundle(store, checked_bundle(bundle))
    assert (found.added, found.differing) == (4, 3)
    assert any("other numbers" in sentence for sentence in found.sentences())
    tables = collate(store)
    rows = tables.accuracy.filter(pl.col("method") == "egnn").sort("mean")
    assert rows.select("source", "mean", "seeds", "setting_label").rows() == [
        (found.source, pytest.approx(1.1), 3, f"source={found.source}"),
        (None, pytest.approx(6.0), 3, None),
    ]
    assert any("Of 3 digests" in warning for warning in tables.warnings())


def test_the_same_records_come_in_once(bundle: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "theirs" / "store")
    found = import_bundle(store, checked_bundle(bundle))
    assert (found.added, found.known, found.own) == (0, 4, 4)
    (sentence,) = found.sentences()
    assert sentence == f"{found.source}: a bundle of this store's own runs: it has all 4, and none was imported."
    assert not (store.root / "imported").exists()
    store = store_of(tmp_path / "mine" / "store")
    import_bundle(store, checked_bundle(bundle))
    with pytest.raises(SymbenchError, match="imported before"):
        import_bundle(store, checked_bundle(bundle))
    renamed = bundle.with_name(f"again{bundle.suffix}")
    export(Store(tmp_path / "theirs" / "store"), renamed)
    found = import_bundle(store, checked_bundle(renamed))
    assert (found.added, found.known, found.own) == (0, 4, 0)
    assert [*found.sentences()] == [f"{found.source}: 0 runs imported, 4 were here already."]


def test_a_run_done_twice_with_the_same_numbers_is_said_to_be(bundle: Path, tmp_path: Path) -> None:
    again = make_record(seed=0, value=0.1, provenance={"host": "elsewhere"})
    found = import_bundle(store_of(tmp_path / "mine" / "store", again), checked_bundle(bundle))
    assert (found.repeated, found.differing) == (1, 0)


def test_what_was_imported_is_not_exported_again_and_changes_no_plan(bundle: Path, tmp_path: Path) -> None:
    store = store_of(tmp_path / "mine" / "store")
    import_bundle(store, checked_bundle(bundle))
    assert store.statuses() == {}
    with pytest.raises(SymbenchError, match="no run of its own"):
        export(store, tmp_path / "more")


@pytest.mark.parametrize("place", ["records.parquet", "tables/accuracy.parquet"])
def test_a_changed_file_is_refused(bundle: Path, tmp_path: Path, place: str) -> None:
    def change(files: dict[str, bytes]) -> None:
        files[place] = files[place][:-1] + bytes([files[place][-1] ^ 1])

    refused(rewritten(bundle, change), tmp_path, "another checksum")


def test_a_changed_checksum_is_refused(bundle: Path, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        values = json.loads(files[MANIFEST])
        files[RECORDS] += b" "
        digest = hashlib.sha256(files[RECORDS]).hexdigest()
        values["files"][RECORDS] = {"sha256": digest, "bytes": len(files[RECORDS])}
        files[MANIFEST] = json.dumps(values).encode()

    refused(rewritten(bundle, change), tmp_path, "id is not that of its files")


def test_a_record_under_the_digest_of_other_settings_is_refused(bundle: Path, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        faster = pl.col("record").str.replace('"seed": 0', '"seed": 7', literal=True)
        sealed(files, records_in(files).with_columns(faster))

    refused(rewritten(bundle, change), tmp_path, "not of the settings it names")


def test_a_digest_that_is_a_path_is_refused(bundle: Path, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        digest = OURS[0].digest
        evil = pl.all().str.replace_all(digest, "../../../evil", literal=True)
        sealed(files, records_in(files).with_columns(evil))

    refused(rewritten(bundle, change), tmp_path, "not of the settings it names")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "..\\evil", "C:evil"])
def test_names_that_lead_out_are_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    def change(files: dict[str, bytes]) -> None:
        values = json.loads(files[MANIFEST])
        values["files"][name] = {"sha256": "0" * 64, "bytes": 0}
        files[MANIFEST] = json.dumps(values).encode()

    refused(rewritten(bundle, change), tmp_path, "outside of it")


def test_a_zip_member_that_leads_out_or_is_not_named_is_refused(tmp_path: Path) -> None:
    export(store_of(tmp_path / "theirs" / "store", *OURS), tmp_path / "lab.zip")
    for extra, reason in (("../evil", "outside of it"), ("more.bin", "does not name")):
        changed = rewritten(tmp_path / "lab.zip", lambda files, extra=extra: files.update({extra: b"x"}))  # type: ignore[misc]
        refused(changed, tmp_path, reason)


def test_a_link_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    export(store_of(tmp_path / "theirs" / "store", *OURS), tmp_path / "lab")
    shutil.move(tmp_path / "lab" / RECORDS, tmp_path / "elsewhere.parquet")
    (tmp_path / "lab" / RECORDS).symlink_to(tmp_path / "elsewhere.parquet")
    refused(tmp_path / "lab", tmp_path, "outside of it")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(bundle: Path, tmp_path: Path, body: bytes) -> None:
    refused(rewritten(bundle, lambda files: files.update({MANIFEST: body})), tmp_path, "no bundle of symbench")


def test_a_later_format_asks_for_an_update(bundle: Path, tmp_path: Path) -> None:
    refused(rewritten(bundle, lambda files: files.update({MANIFEST: b'{"format": 2}'})), tmp_path, "update symbench")


def test_what_is_missing_or_no_archive_is_refused(bundle: Path, tmp_path: Path) -> None:
    refused(rewritten(bundle, lambda files: files.pop(RECORDS) and None), tmp_path, "is missing")
    (tmp_path / "text.zip").write_text("no archive")
    refused(tmp_path / "text.zip", tmp_path, "cannot be read")
    refused(tmp_path / "nothing", tmp_path, "no bundle at")


def refused(bundle: Path, tmp_path: Path, reason: str) -> None:
    store = tmp_path / "mine" / "store"
    with pytest.raises(SymbenchError, match=reason) as caught:
        CliRunner().invoke(app, ["import", str(bundle), "--store", str(store)], catch_exceptions=False)
    assert "\n" not in str(caught.value)
    assert not store.exists()


def test_only_one_suite_is_exported(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", *OURS, make_record(seed=9, suite="other"))
    assert export(store, tmp_path / "one", suites=["other"]).runs == 1
    with pytest.raises(SymbenchError, match="No run of the suite 'unknown'"):
        export(store, tmp_path / "two", suites=["unknown"])
    with pytest.raises(SymbenchError, match="exists already"):
        export(store, tmp_path / "one")
    with pytest.raises(SymbenchError, match="cannot be called"):
        export(store, tmp_path / "three", name="a b")


def test_the_same_runs_make_the_same_bundle(tmp_path: Path) -> None:
    one = export(store_of(tmp_path / "a" / "store", *OURS), tmp_path / "one", name="lab")
    other = export(store_of(tmp_path / "b" / "store", *reversed(OURS)), tmp_path / "two.zip", name="lab")
    assert (one.id, one.files) == (other.id, other.files)


def test_the_tables_of_a_bundle_of_one_suite_hold_that_suite_alone(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", *OURS, make_record(seed=9, suite="other", value=7.0))
    export(store, tmp_path / "one", suites=["other"])
    _, files = read_bundle(tmp_path / "one")
    accuracy = pl.read_parquet(BytesIO(files["tables/accuracy.parquet"]))
    assert accuracy.select("mean", "seeds", "suites").rows() == [(7.0, 1, "other")]
    assert pl.read_parquet(BytesIO(files["tables/runs.parquet"])).height == records_in(files).height == 1


@pytest.mark.parametrize("name", ["lab", "lab.zip"])
def test_a_bundle_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does anybody see half of one."""
    store, seen = store_of(tmp_path / "store", *OURS), list[bool]()
    collate(store)

    def full(source: Path, target: Path) -> None:
        seen.append(target.exists())
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(SymbenchError, match=r"cannot be written to .* \(No space left on device\)"):
            export(store, tmp_path / name)
    assert seen == [False] and sorted(tmp_path.iterdir()) == before


def test_the_same_runs_make_the_same_archive_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = []
    for name, moment in (("a", 1_700_000_000.0), ("b", 1_800_000_000.0)):
        monkeypatch.setattr("time.time", lambda moment=moment: moment)
        export(store_of(tmp_path / name / "store", *OURS), tmp_path / f"{name}.zip", name="lab")
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            bodies.append([(one.filename, one.date_time, one.CRC) for one in archive.infolist()][1:])
    assert bodies[0] == bodies[1] and len(bodies[0]) >= 8


def test_of_a_bundle_only_what_is_new_comes_in(bundle: Path, tmp_path: Path) -> None:
    other = make_record(seed=1, value=9.0)
    store = store_of(tmp_path / "mine" / "store", OURS[0], other)
    found = import_bundle(store, checked_bundle(bundle))
    assert (found.added, found.known, found.own, found.repeated, found.differing) == (3, 1, 1, 0, 1)
    assert next(found.sentences()).endswith("3 runs imported, 1 were here already (1 of them this store's own).")
    files = {path.name for path in (store.root / "imported" / found.source / "records").iterdir()}
    assert files == {f"{OURS[1].digest}.json", f"{OURS[2].digest}.json", f"{FAILED.digest}.failed.json"}


def test_a_run_that_agrees_with_one_and_not_with_another_is_both(bundle: Path, tmp_path: Path) -> None:
    ours = make_record(seed=0, value=0.1, provenance={"host": "elsewhere"})
    store = store_of(tmp_path / "mine" / "store", ours)
    write(store.root / "imported" / "lab-1", make_record(seed=0, value=5.0))
    found = import_bundle(store, checked_bundle(bundle))
    assert (found.repeated, found.differing) == (1, 1)
    assert len([*found.sentences()]) == 3


def test_what_is_imported_is_shared_with_other_machines(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[Path] = []

    @contextmanager
    def sharing(self: Store, path: Path) -> Iterator[None]:
        assert not path.exists()
        yield
        assert path.is_dir()
        shared.append(path)

    monkeypatch.setattr(Store, "sharing", sharing)
    store = store_of(tmp_path / "mine" / "store")
    found = import_bundle(store, checked_bundle(bundle))
    assert shared == [store.root / "imported" / found.source]
