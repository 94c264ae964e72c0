"""From others' bundles into a store, beside its own runs and never among them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from harness.collate.reading import Unreadable, read_row
from harness.errors import SymbenchError
from harness.exchange.bundle import MANIFEST, RECORDS, Manifest, manifest_bytes, read_bundle
from harness.records.store import IMPORTED, Status, Store
from harness.spec import digest_of

_NUMBERS = ("status", "metrics", "curve", "output_variance")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """``added`` runs are in the store now; of these ``repeated`` were there with the same numbers from another time or
    place, and ``differing`` with others. ``known`` were there already, word for word, and were not added."""

    source: str
    added: int
    known: int
    repeated: int
    differing: int

    def sentences(self) -> Iterator[str]:
        yield f"{self.source}: {self.added:,} runs imported, {self.known:,} were here already."
        if self.repeated:
            yield f"{self.repeated:,} of them had been run here too, with the same numbers."
        if self.differing:
            yield (
                f"{self.differing:,} of them have a run here with other numbers: both are kept, and tables name the "
                "source of each."
            )


class Bundle(NamedTuple):
    """A bundle in which everything is as it was written: JSON of every record by digest and status."""

    manifest: Manifest
    records: Mapping[tuple[str, Status], bytes]


def import_bundle(store: Store, bundle: Bundle) -> Imported:
    """Puts a bundle's records into ``imported/<source>/`` of the store.

    Raises :class:`SymbenchError`, and changes nothing, where that is there or cannot be written.
    """
    source = bundle.manifest.source
    target = store.root / IMPORTED / source
    if target.exists():
        raise SymbenchError(f"The bundle {source} was imported before: delete {target} to import it again.")
    fresh, known, repeated, differing = {}, 0, 0, 0
    for (digest, status), body in bundle.records.items():
        name = store.record_path(digest, status).name
        values = json.loads(body)
        others = list(_of_name(store.root, name))
        if values in others:
            known += 1
            continue
        fresh[name] = body
        same = [all(other.get(key, []) == values.get(key, []) for key in _NUMBERS) for other in others]
        repeated += any(same)
        differing += bool(same) and not all(same)
    if fresh:
        _write(target, bundle.manifest, fresh)
    return Imported(source=source, added=len(fresh), known=known, repeated=repeated, differing=differing)


def checked_bundle(path: Path) -> Bundle:
    """The bundle at ``path``, every checksum and every digest computed again.

    Raises :class:`SymbenchError` for a wrong checksum, a record that cannot be read, and one whose digest is not that
    of its settings.
    """
    manifest, files = read_bundle(path)
    try:
        table = pl.read_parquet(BytesIO(files[RECORDS]), columns=["digest", "record"])
        bodies = table.select(pl.col("digest", "record").cast(pl.String)).rows()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SymbenchError(f"{RECORDS} of the bundle {path} cannot be read: not imported.") from error
    if len(bodies) != manifest.runs:
        raise SymbenchError(f"The bundle {path} has {len(bodies)} records, not {manifest.runs}: not imported.")
    found = {}
    for digest, text in bodies:
        body = (text or "").encode()
        row = _row(path, digest, body)
        found[row["digest"], row["status"]] = body
    return Bundle(manifest, found)


def _row(path: Path, digest: str, body: bytes) -> dict[str, Any]:
    try:
        row = read_row(body)
    except Unreadable as error:
        cure = ": update symbench to read it" if error.newer else ": not imported"
        raise SymbenchError(f"Record {digest} of the bundle {path} cannot be read ({error}){cure}.") from error
    if not row["digest"] == digest == digest_of(json.loads(body)["spec"]):
        raise SymbenchError(f"Record {digest} of the bundle {path} is not of the settings it names: not imported.")
    return row


def _of_name(root: Path, name: str) -> Iterator[Any]:
    """The records of this name that the store has; a damaged one is none, as collating says."""
    for folder in (root / "records", *(root / IMPORTED).glob("[!.]*/records")):
        if (folder / name).is_file():
            with contextlib.suppress(ValueError):
                yield json.loads((folder / name).read_bytes())


def _write(target: Path, manifest: Manifest, records: Mapping[str, bytes]) -> None:
    """The whole folder or nothing."""
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        (staged / "records").mkdir(parents=True)
        (staged / MANIFEST).write_bytes(manifest_bytes(manifest))
        for name, body in records.items():
            (staged / "records" / name).write_bytes(body)
        staged.rename(target)
    except OSError as error:
        raise SymbenchError(f"The bundle cannot be imported into {target} ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
