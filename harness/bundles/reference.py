"""Reference runs for comparisons: those of a store, of a folder of stores, or of a bundle."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from harness.bundles.bundle import is_bundle
from harness.bundles.importing import checked_bundle
from harness.collate.incremental import ROWS, read_rows
from harness.collate.reading import COLUMNS, frame, read_row
from harness.collate.runs import runs
from harness.errors import BundleError
from harness.records.layout import is_store, stores_in


def reference_runs(path: Path) -> pl.DataFrame:
    """The table ``runs`` of a store, a folder of stores or a bundle, without imported runs.

    Raises:
        BundleError: There is neither a store nor a bundle at ``path``, or the bundle is damaged.
    """
    if is_bundle(path):
        rows = [read_row(body) for body in checked_bundle(path).records.values()]
        stamps = [pl.lit(None, dtype).alias(name) for name, dtype in ROWS.items() if name not in COLUMNS]
        return runs(frame(rows, pl.Schema(COLUMNS)).with_columns(stamps))
    stores = [*([path] if is_store(path) else []), *stores_in(path)]
    if not stores:
        raise BundleError(f"There is neither a store nor a bundle at {path}: name one that holds earlier results.")
    return runs(pl.concat([read_rows(store, None).frame for store in stores]).filter(pl.col("source").is_null()))
