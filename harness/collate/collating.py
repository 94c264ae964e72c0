"""Collates the records of a store into tables."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from harness.collate.accuracy import accuracy, with_intervals
from harness.collate.convergence import convergence
from harness.collate.costs import costs
from harness.collate.incremental import load_cache, read_rows
from harness.collate.output_variance import output_variance
from harness.collate.ranks import ranks
from harness.collate.runs import runs_of
from harness.collate.sample_complexity import sample_complexity, with_convergence
from harness.collate.scaling import scaling, with_samples_and_exponents
from harness.collate.tables import NAMES, Tables, are_written, write_tables

if TYPE_CHECKING:
    from harness.records.store import Store

log = logging.getLogger(__name__)


def collate(store: Store, out: Path | None = None) -> Tables:
    """Collates all records of a store and writes the tables.

    Only records that are new or changed since the last call with this ``out`` are parsed. Unreadable files are left
    out, with one warning for each reason.

    Args:
        store: The store.
        out: The folder for the tables; by default ``tables`` in :func:`results_folder`.

    Raises:
        SymbenchError: ``out`` cannot be written.
    """
    out = results_folder(store) / "tables" if out is None else out
    tables, changed = read_tables(store, out)
    for sentence in tables.warnings():
        log.warning("%s", sentence)
    if changed or not are_written(out):
        write_tables(tables, out)
    return tables


def read_tables(store: Store, out: Path) -> tuple[Tables, bool]:
    """The tables of a store, and whether they differ from those that were written to ``out``, which are a cache."""
    store.refresh()
    cache = load_cache(out, NAMES)
    rows = read_rows(store.root, cache["runs"] if cache else None)
    left_out, parsed, changed = rows.left_out, rows.parsed, rows.changed or cache is None
    if cache is None or changed:
        cache, columns = None, rows.frame.get_columns()
        del rows
        cache = frames_of(runs_of(columns))
    return Tables(**cache, left_out=left_out, parsed=parsed), changed


def results_folder(store: Store) -> Path:
    """The default folder for the tables and the leaderboard of a store, which no two stores share.

    It is the parent of a store named ``store``, as in ``results/store``, and the folder ``results`` inside any other
    store.
    """
    return store.root.parent if store.root.name == "store" else store.root / "results"


def frames_of(all_runs: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """All tables by name, computed from the table ``runs``."""
    lazy = all_runs.lazy()
    pooled, by_device, by_samples, repeated, by_size = pl.collect_all(
        [accuracy(lazy), costs(lazy), sample_complexity(lazy), output_variance(lazy), scaling(lazy)]
    )
    by_samples = with_convergence(by_samples, convergence(all_runs))
    return {
        "runs": all_runs,
        "accuracy": with_intervals(pooled),
        "costs": by_device,
        "ranks": ranks(all_runs),
        "sample_complexity": by_samples,
        "output_variance": repeated,
        "scaling": with_samples_and_exponents(by_size, by_samples),
    }
