"""The tables of a store or a bundle as Polars frames."""

from __future__ import annotations

import logging
from pathlib import Path

from harness.bundles.bundle import is_bundle
from harness.bundles.reference import reference_runs
from harness.collate.collating import frames_of, read_tables, results_folder
from harness.collate.incremental import STAMP
from harness.collate.tables import Tables
from harness.errors import StoreError
from harness.records.opening import existing_store, is_remote

_log = logging.getLogger(__name__)


def results(store: str | Path = "results/store") -> Tables:
    """Collates the records of a store, or of a bundle, into tables; no file is written.

    Args:
        store: A store (a folder, or an address such as ``s3://bucket/folder``), or a bundle of ``symbench export``.

    Returns:
        The tables as Polars frames: ``runs``, ``accuracy``, ``costs``, ``ranks``, ``sample_complexity``,
        ``output_variance`` and ``scaling``. They are those that ``symbench collate`` writes. Those of a bundle have no
        columns on the files of records.

    Raises:
        StoreError: There is neither a store nor a bundle, or it cannot be read.
        BundleError: The bundle is damaged.

    Example:
        >>> import tempfile
        >>> import symbench
        >>> small = {"epochs": 1, "batch_size": 8, "curve_size": 4}
        >>> data = {"train": 16, "validation": 8, "test": 8}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = symbench.evaluate(
        ...         "egnn", "nbody", seeds=2, settings=small, task_params=data, store=folder
        ...     )
        ...     tables = symbench.results(folder)
        >>> tables.accuracy.select("task", "method", "seeds").rows()
        [('nbody', 'egnn', 2)]
        >>> tables.accuracy["mean"].item() == found.mean
        True
    """
    address = str(store)
    if not is_remote(address) and is_bundle(Path(address)):
        frames = frames_of(reference_runs(Path(address)).drop(*STAMP))
        return Tables(**frames)  # type: ignore[arg-type]
    opened = existing_store(store)
    if opened is None:
        raise StoreError(f"There is neither a store nor a bundle at {store}: make one with symbench.evaluate or run.")
    tables, _ = read_tables(opened, results_folder(opened) / "tables")
    for sentence in tables.warnings():
        _log.warning("%s", sentence)
    return tables
