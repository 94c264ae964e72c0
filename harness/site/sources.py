"""The bundles of a site, and the tables of all their runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from harness.bundles.bundle import Manifest, read_bundle
from harness.bundles.importing import Bundle, checked_records
from harness.collate.collating import frames_of
from harness.collate.incremental import ROWS
from harness.collate.reading import COLUMNS, frame, read_row
from harness.collate.runs import runs as runs_of
from harness.collate.tables import Tables


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A checked bundle.

    Attributes:
        bundle: Its manifest and records.
        files: Its files by name, to write a copy.
    """

    bundle: Bundle
    files: Mapping[str, bytes]

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle."""
        return self.bundle.manifest

    @property
    def name(self) -> str:
        """Its name in tables."""
        return self.manifest.source

    @property
    def file(self) -> str:
        """Its file in a site."""
        return f"bundles/{self.name}.zip"

    def replaces(self, other: Source) -> bool:
        """Whether this bundle has the name of the other one and holds all its records."""
        same_name = self.manifest.name == other.manifest.name
        return same_name and self.bundle.records.items() >= other.bundle.records.items()


def read_source(path: Path) -> Source:
    """Reads a bundle and verifies all checksums, digests and records.

    Raises:
        BundleError: It is damaged or was changed.
    """
    manifest, files = read_bundle(path)
    return Source(bundle=checked_records(path, manifest, files), files=files)


def own_records(sources: Iterable[Source]) -> dict[str, list[bytes]]:
    """The records of each source by its name, without those that an earlier source holds too.

    The earlier source keeps them, so that nobody can claim the runs of others.
    """
    seen: set[bytes] = set()
    found: dict[str, list[bytes]] = {}
    for source in sources:
        found[source.name] = [body for body in source.bundle.records.values() if body not in seen]
        seen.update(found[source.name])
    return found


def tables_of(sources: Sequence[Source]) -> Tables:
    """The tables of all sources. Runs of several sources are not pooled; those of a single source have no source."""
    records = {name: bodies for name, bodies in own_records(sources).items() if bodies}
    several = len(records) > 1
    rows = [read_row(body, name if several else None) for name, bodies in records.items() for body in bodies]
    stamps = [pl.lit(None, dtype).alias(name) for name, dtype in ROWS.items() if name not in COLUMNS]
    return Tables(**frames_of(runs_of(frame(rows, pl.Schema(COLUMNS)).with_columns(stamps))))  # type: ignore[arg-type]


def of_task(tables: Tables, name: str) -> Tables:
    """The tables of one task, without ranks across tasks."""
    return _filtered(tables, pl.col("task") == name)


def of_method(tables: Tables, name: str) -> Tables:
    """The tables of one method, without ranks across tasks."""
    return _filtered(tables, pl.col("method") == name)


def _filtered(tables: Tables, wanted: pl.Expr) -> Tables:
    frames = {name: frame.filter(wanted) for name, frame in tables.frames().items() if name != "ranks"}
    return Tables(ranks=tables.ranks.clear(), **frames)  # type: ignore[arg-type]
