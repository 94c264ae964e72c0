"""Exports the runs of a store as a bundle."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import polars as pl

from harness.bundles.bundle import MANIFEST, NAME, RECORDS, Manifest, manifest_bytes, manifest_of
from harness.collate.collating import collate, frames_of
from harness.collate.incremental import STAMP
from harness.doctor import symbench_version
from harness.errors import BundleError
from harness.records.record import Status
from harness.records.store import Store
from tasks.sources.atomic_files import staged


def export(store: Store, out: Path, *, suites: Sequence[str] = (), name: str | None = None) -> Manifest:
    """Writes the runs of a store to a bundle; imported runs are left out.

    Args:
        store: The store.
        out: The bundle: a .zip if the name ends so, else a folder.
        suites: Exports the runs of these suites only; by default all.
        name: The name that others see beside these runs; by default that of the file.

    Raises:
        BundleError: There are no runs to export, ``out`` exists or cannot be written, or the name is not valid.
    """
    name = out.name.removesuffix(".zip") if name is None else name
    if not NAME.fullmatch(name):
        raise BundleError(f"A bundle cannot be called '{name}': choose --name of letters, digits, '.', '_' and '-'.")
    if out.exists():
        raise BundleError(f"{out} exists already: choose another place for the bundle.")
    runs = collate(store).runs.filter(pl.col("source").is_null())
    if suites:
        runs = _of_suites(runs, suites)
    if runs.is_empty():
        raise BundleError(f"The store {store.root} has no run of its own to export.")
    files = {f"tables/{key}.parquet": _parquet(frame) for key, frame in frames_of(runs.drop(*STAMP)).items()}
    files[RECORDS] = _parquet(_records(store, runs))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = manifest_of(files, name=name, created=created, version=symbench_version(), runs=runs.height)
    write_bundle(out, manifest, files)
    return manifest


def write_bundle(out: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Writes a bundle atomically: a .zip if the name ends so, else a folder.

    Raises:
        BundleError: ``out`` cannot be written.
    """
    try:
        _write(out, {**files, MANIFEST: manifest_bytes(manifest)})
    except OSError as error:
        raise BundleError(f"The bundle cannot be written to {out} ({error.strerror or error}).") from error


def _of_suites(runs: pl.DataFrame, suites: Sequence[str]) -> pl.DataFrame:
    if unknown := sorted({*suites} - {*runs["suite"]}):
        known = ", ".join(sorted({*runs["suite"]}))
        raise BundleError(f"No run of the suite '{unknown[0]}' is in this store; it has {known or 'none'}.")
    return runs.filter(pl.col("suite").is_in(suites))


def _records(store: Store, runs: pl.DataFrame) -> pl.DataFrame:
    ordered = runs.sort("digest", "status").select("digest", "status", "file")
    bodies = [_body(store, *row) for row in ordered.iter_rows()]
    return ordered.select("digest", pl.Series("record", bodies, dtype=pl.String))


def _body(store: Store, digest: str, status: Status, file: str) -> str | None:
    """The JSON of a record, which may have been moved into a segment since it was collated."""
    try:
        return (store.root / file).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return store.segments.find(digest, status)


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with staged(out) as place:
        if out.suffix == ".zip":
            with zipfile.ZipFile(place, "w") as archive:  # parquet is compressed already
                for name, body in sorted(files.items()):
                    archive.writestr(zipfile.ZipInfo(name), body)
        else:
            for name, body in files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(body)
