"""A bundle made to do harm is refused in one sentence, takes little memory, and leaves nothing behind."""

from __future__ import annotations

import bz2
import json
import os
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from harness.bundles import bundle as bundle_module
from harness.bundles.bundle import MANIFEST, RECORDS, manifest_bytes, manifest_of
from harness.bundles.exporting import export
from harness.bundles.importing import checked_bundle, import_bundle
from harness.cli import main
from harness.errors import SymbenchError
from harness.records.store import Store
from harness.spec import digest_of
from tests.harness.bundles.test_bundle import OURS, refused, rewritten, sealed, store_of
from tests.harness.disk import Disk
from tests.harness.synthetic import make_record

MEGABYTE = 1 << 20
Bodies = Mapping[str, bytes]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    export(store_of(tmp_path / "theirs" / "store", *OURS), tmp_path / "lab.zip")
    return tmp_path / "lab.zip"


def bodies_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, bodies: Bodies, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
        for name, body in bodies.items():
            archive.writestr(name, body)
    return path


def signed(bodies: Bodies, runs: int = 1) -> dict[str, bytes]:
    """The files under a manifest that fits them, as only somebody who means harm would write it."""
    manifest = manifest_of(bodies, name="lab", created="", version=None, runs=runs)
    return {**bodies, MANIFEST: manifest_bytes(manifest)}


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Of Python's own, which holds what is read of a .zip."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * MEGABYTE


@pytest.mark.parametrize("place", [RECORDS, "tables/runs.parquet"])
def test_a_small_file_that_becomes_a_large_one_is_refused(tmp_path: Path, place: str, little_memory: None) -> None:
    zeros = bytes(4 * MEGABYTE)  # 150 MB of them take 147 kB: here less, since the test makes them itself
    path = packed(tmp_path / "lab.zip", signed({RECORDS: b"", place: zeros}))
    assert path.stat().st_size < 8000
    refused(path, tmp_path, "far more than its size allows")


def test_what_a_file_says_of_its_size_is_not_believed(tmp_path: Path, little_memory: None) -> None:
    """The manifest names ten bytes, and the archive too: only so many are ever read."""
    body = signed({RECORDS: bytes(10)})
    path = packed(tmp_path / "lab.zip", {**body, RECORDS: bytes(4 * MEGABYTE)})
    refused(path, tmp_path, "another checksum")
    raw = path.read_bytes().replace(struct.pack("<L", 4 * MEGABYTE), struct.pack("<L", 10))
    path.write_bytes(raw)
    refused(path, tmp_path, "another checksum|cannot be read")


def test_a_manifest_without_end_is_refused(tmp_path: Path, little_memory: None) -> None:
    path = packed(tmp_path / "lab.zip", {MANIFEST: b'{"format": 1, "name": "' + b"a" * (4 * MEGABYTE) + b'"}'})
    refused(path, tmp_path, "no bundle of symbench")


def test_files_that_are_too_many_together_are_refused(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "MOST_BYTES", 40_000)
    bodies = bodies_of(lab)
    assert max(map(len, bodies.values())) < 40_000 < sum(map(len, bodies.values()))
    refused(lab, tmp_path, "far more than")
    folder = tmp_path / "lab"
    for name, body in bodies.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    refused(folder, tmp_path, "far more than")


BOMBS: Mapping[str, Callable[[], pl.DataFrame]] = {
    "one long text": lambda: pl.DataFrame({"digest": ["a"], "record": ["0" * (40 * MEGABYTE)]}),
    "no text a million times": lambda: pl.select(
        pl.repeat(None, 1_000_000, dtype=pl.String).alias(name) for name in ("digest", "record")
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_records_that_are_far_longer_than_their_file_are_refused(tmp_path: Path, name: str) -> None:
    records = BOMBS[name]()
    body = parquet(records)
    assert len(body) < 20_000
    refused(packed(tmp_path / "lab.zip", signed({RECORDS: body}, records.height)), tmp_path, "holds more than")


def test_a_text_that_is_stored_once_and_meant_often_is_never_written_out(tmp_path: Path) -> None:
    """Written out it would take 2 GB; the sizes that its file tells are small and true."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    places = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["0" * 100_000]))
    path = tmp_path / "records.parquet"
    pq.write_table(pa.table({"digest": pa.array(["a"] * 20_000), "record": places}), path, store_schema=False)
    assert pq.read_metadata(path).row_group(0).total_byte_size < 250_000
    bodies = signed({RECORDS: path.read_bytes(), "tables/runs.parquet": os.urandom(MEGABYTE)}, 20_000)
    before = pa.default_memory_pool().max_memory()
    refused(packed(tmp_path / "lab.zip", bodies), tmp_path, "holds more than")
    assert pa.default_memory_pool().max_memory() < before + 200 * MEGABYTE


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([f"tables/t{n}.parquet" for n in range(150)], "far more than"),
        ([f"tables/{n:05}-{'x' * 60}" for n in range(4000)], "longer than that of any bundle"),
        (["inner.zip"], "no file of a bundle"),
        (["tables/a/b.parquet"], "no file of a bundle"),
        (["tables/up\nand.parquet"], "no file of a bundle"),
        ([".hidden"], "no file of a bundle"),
    ],
)
def test_files_that_no_bundle_has_are_refused(tmp_path: Path, names: list[str], reason: str) -> None:
    bodies = {RECORDS: b"", **dict.fromkeys(names, b"")}
    refused(packed(tmp_path / "lab.zip", signed(bodies), zipfile.ZIP_STORED), tmp_path, reason)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_cannot_be_read_in_steps_are_refused(tmp_path: Path, compression: int) -> None:
    """Four kilobytes of bzip2 may become a hundred megabytes at once."""
    assert len(bz2.compress(bytes(MEGABYTE))) < 100
    refused(packed(tmp_path / "lab.zip", signed({RECORDS: b"abc"}), compression), tmp_path, "encrypted or packed")


def test_an_encrypted_file_is_refused(lab: Path, tmp_path: Path) -> None:
    raw = bytearray(lab.read_bytes())
    place = raw.index(b"PK\x01\x02")
    raw[place + 8] |= 1
    lab.write_bytes(raw)
    refused(lab, tmp_path, "encrypted or packed")


@pytest.mark.parametrize("link", [True, False])
def test_a_link_or_a_name_that_comes_twice_is_refused(lab: Path, tmp_path: Path, link: bool) -> None:
    with zipfile.ZipFile(lab, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        info = zipfile.ZipInfo("tables/link.parquet" if link else RECORDS)
        info.external_attr = (0o120777 if link else 0o100644) << 16
        archive.writestr(info, "/etc/passwd")
    refused(lab, tmp_path, "twice or as a link")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    refused(tmp_path / "pipe.zip", tmp_path, "neither a folder nor a file")
    refused(Path("/dev/zero"), tmp_path, "neither a folder nor a file")


def test_a_record_that_comes_twice_is_refused(lab: Path, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        frame = pl.read_parquet(BytesIO(files[RECORDS]))
        sealed(files, pl.concat([frame, frame.head(1)]))

    refused(rewritten(lab, change), tmp_path, "has 3 records, not 4")


def spoiled(values: dict[str, object]) -> list[dict[str, object]]:
    spec = make_record().spec.to_dict()
    return [
        values | {"spec": spec | {"sampler": [1, 2]}},
        values | {"spec": spec | {"base": None}},
        values | {"spec": [spec]},
        values | {"curve": "x" * (5 * MEGABYTE)},
        values | {"provenance": []},
    ]


@pytest.mark.parametrize("which", range(5))
def test_a_record_of_another_shape_is_refused(lab: Path, tmp_path: Path, which: int) -> None:
    values = spoiled(make_record().to_dict())[which]
    spec = values["spec"]
    digest = digest_of(spec) if isinstance(spec, dict) and isinstance(spec["sampler"], dict) and spec["base"] else "\n"
    noise = {"tables/runs.parquet": os.urandom(MEGABYTE)}  # so that nothing is refused for its size

    def change(files: dict[str, bytes]) -> None:
        text = json.dumps(values | {"digest": digest})
        files.update(noise)
        sealed(files, pl.DataFrame({"digest": [digest], "record": [text]}))

    refused(rewritten(lab, change), tmp_path, "cannot be read|of no run|far longer")


def test_a_refusal_ends_with_exit_code_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "lab.zip", signed({RECORDS: bytes(MEGABYTE)}))
    monkeypatch.setattr("sys.argv", ["symbench", "import", str(path), "--store", str(tmp_path / "store")])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.out == ""
    assert "far more than its size allows" in " ".join(said.err.split()) and "Traceback" not in said.err
    assert [one.name for one in tmp_path.iterdir()] == ["lab.zip"]


def test_what_is_imported_survives_a_power_cut(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "mine" / "store")
    checked = checked_bundle(lab)
    disk = Disk(store.root, monkeypatch)
    found = import_bundle(store, checked)
    folder = f"imported/{found.source}"
    assert disk.unsafe() == []
    assert disk.events[-2:] == [f"move {folder}", "sync imported"]
    assert sum(event.endswith(".json") for event in disk.events) >= len(OURS) + 1


def test_an_import_that_cannot_be_written_leaves_nothing(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, checked = Store(tmp_path / "mine" / "store"), checked_bundle(lab)
    before = sorted(store.root.rglob("*"))

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(SymbenchError, match="No space left on device"):
            import_bundle(store, checked)
    assert sorted(store.root.rglob("*")) == before
    assert import_bundle(store, checked).added == len(OURS)
