"""Imports bundles into a store, apart from its own runs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from harness import registry
from harness.bundles.bundle import MANIFEST, MOST_RATIO, RECORDS, Manifest, manifest_bytes, most_bytes, read_bundle
from harness.collate.reading import Unreadable, read_row
from harness.errors import BundleError
from harness.records.layout import IMPORTED, record_folders
from harness.records.parquet import read_parquet
from harness.records.record import Status
from harness.records.store import Store
from harness.renames import current_record
from harness.spec import digest_of
from tasks.sources.atomic_files import make_folder, staged

MOST_RECORD_BYTES = 1 << 22
_LEAST_RECORD_BYTES = 256
_RECORDS = pa.schema({"digest": pa.large_string(), "record": pa.large_string()})
_NUMBERS = ("status", "metrics", "curve", "output_variance")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The outcome of an import.

    Attributes:
        source: The name of the bundle in the tables.
        added: Number of runs that were added.
        known: Number of runs that were not added, since the store has identical records.
        own: Number of these whose record is one of the store's own, not of another import.
        repeated: Number of added runs that the store has another record of, with the same numbers.
        differing: Number of added runs that the store only has records of with other numbers.
    """

    source: str
    added: int
    known: int
    own: int
    repeated: int
    differing: int

    def sentences(self) -> Iterator[str]:
        """Sentences for the user."""
        if self.own and self.own == self.known and not self.added:
            yield f"{self.source}: a bundle of this store's own runs: it has all {self.own:,}, and none was imported."
            return
        own = f" ({self.own:,} of them this store's own)" if self.own else ""
        yield f"{self.source}: {self.added:,} runs imported, {self.known:,} were here already{own}."
        if self.repeated:
            yield f"{self.repeated:,} of them had been run here too, with the same numbers."
        if self.differing:
            yield (
                f"{self.differing:,} of them have a run here with other numbers: both are kept, and tables name the "
                "source of each."
            )


class Bundle(NamedTuple):
    """A checked bundle: its manifest, and the JSON of every record by digest and status."""

    manifest: Manifest
    records: Mapping[tuple[str, Status], bytes]


def import_bundle(store: Store, bundle: Bundle) -> Imported:
    """Writes the records of a bundle to ``imported/<source>/`` in the store.

    Raises:
        BundleError: The bundle was imported before, or the folder cannot be written. The store does not change.
    """
    store.refresh()
    source = bundle.manifest.source
    target = store.root / IMPORTED / source
    if target.exists():
        raise BundleError(f"The bundle {source} was imported before: delete {target} to import it again.")
    fresh, known, own, repeated, differing = {}, 0, 0, 0, 0
    for (digest, status), body in bundle.records.items():
        name = store.record_path(digest, status).name
        values = _values(body)
        here, others = (list(_read(bodies)) for bodies in _bodies(store, digest, status))
        if values in here or values in others:
            known += 1
            own += values in here
            continue
        fresh[name] = body
        same = [all(other.get(key, []) == values.get(key, []) for key in _NUMBERS) for other in (*here, *others)]
        repeated += any(same)
        differing += bool(same) and not all(same)
    if fresh:
        with store.sharing(target):
            _write(target, bundle.manifest, fresh)
    return Imported(source=source, added=len(fresh), known=known, own=own, repeated=repeated, differing=differing)


def checked_bundle(path: Path) -> Bundle:
    """Reads a bundle and verifies every checksum and every digest.

    Raises:
        BundleError: A checksum is wrong, a limit on size is exceeded, a record cannot be read, or its digest is not
            that of its settings.
    """
    return checked_records(path, *read_bundle(path))


def checked_records(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Verifies the records of a bundle that :func:`~harness.bundles.bundle.read_bundle` read from ``path``.

    Raises:
        BundleError: As :func:`checked_bundle`.
    """
    most = min(most_bytes(path), MOST_RATIO * sum(map(len, files.values())))
    try:
        rows = min(manifest.runs, most // _LEAST_RECORD_BYTES)
        table = read_parquet(files[RECORDS], _RECORDS, most_rows=rows, most_bytes=most)
    except ValueError as error:
        raise BundleError(f"{RECORDS} of the bundle {path} cannot be read ({error}): not imported.") from error
    found = {}
    for digest, text in table.iter_rows():
        body = (text or "").encode()
        row = _row(path, digest, body)
        found[row["digest"], row["status"]] = body
    if len(found) != manifest.runs:
        raise BundleError(f"The bundle {path} has {len(found)} records, not {manifest.runs}: not imported.")
    return Bundle(manifest, found)


def _row(path: Path, digest: str | None, body: bytes) -> dict[str, Any]:
    name = repr(digest)[:40]  # it may be any text
    if len(body) > MOST_RECORD_BYTES:
        raise BundleError(f"Record {name} of the bundle {path} is far longer than records are: not imported.")
    try:
        row, computed = read_row(body), digest_of(json.loads(body)["spec"])
    except Unreadable as error:
        cure = ": update symbench to read it" if error.newer else ": not imported"
        raise BundleError(f"Record {name} of the bundle {path} cannot be read ({error}){cure}.") from error
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise BundleError(f"Record {name} of the bundle {path} has settings of no run: not imported.") from error
    if not row["digest"] == digest == computed:
        raise BundleError(f"Record {name} of the bundle {path} is not of the settings it names: not imported.")
    return row


def _bodies(store: Store, digest: str, status: Status) -> tuple[list[bytes | str], list[bytes | str]]:
    """The JSON of the store's own records of this run and status, and that of imported ones."""
    path = store.record_path(digest, status)
    paths = [folder / path.name for folder in record_folders(store.root)]
    found = {file: file.read_bytes() for file in paths if file.is_file()}
    own: list[bytes | str] = [body for file, body in found.items() if file == path]
    if not own and (kept := store.segments.find(digest, status)) is not None:
        own = [kept]
    return own, [body for file, body in found.items() if file != path]


def _read(bodies: Iterable[bytes | str]) -> Iterator[Any]:
    """The values of records without damaged ones, which collation reports."""
    for body in bodies:
        with contextlib.suppress(ValueError):
            yield _values(body)


def _values(body: bytes | str) -> Any:
    """A record's JSON values, so that records of several versions can be compared."""
    values = json.loads(body)
    return current_record(values, registry.is_method) if isinstance(values, dict) else values


def _write(target: Path, manifest: Manifest, records: Mapping[str, bytes]) -> None:
    """Writes the folder atomically and syncs it to disk."""
    try:
        with staged(target) as folder:
            make_folder(folder / "records")
            (folder / MANIFEST).write_bytes(manifest_bytes(manifest))
            for name, body in records.items():
                (folder / "records" / name).write_bytes(body)
    except OSError as error:
        raise BundleError(f"The bundle cannot be imported into {target} ({error.strerror or error}).") from error
    finally:
        with contextlib.suppress(OSError):  # not empty: it has other bundles, or this one
            target.parent.rmdir()
