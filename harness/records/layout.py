"""Where the files of a store are, and the one walk over each kind of them (no Polars)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

RECORDS, LAUNCHES, SEGMENTS, WEIGHTS = "records", "launches", "segments", "weights"
FOLDERS = (
    *(RECORDS, "histories", SEGMENTS, f"{SEGMENTS}/histories"),
    *(WEIGHTS, "checkpoints", "logs", LAUNCHES, "mlartifacts"),
)
SEARCHES = "searches"
"""The folder of the stores of searches: ``searches/<name>``."""
IMPORTED = "imported"
"""The folder of what others ran: ``imported/<bundle>/records``, made by the first import."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


def is_store(folder: Path) -> bool:
    """Whether a folder is a store: it has a folder of records."""
    return (folder / RECORDS).is_dir()


def stores_in(folder: Path) -> list[Path]:
    """The folders directly in ``folder`` that are stores, by name."""
    return [records.parent for records in sorted(folder.glob(f"*/{RECORDS}")) if records.is_dir()]


def record_folders(root: Path) -> list[Path]:
    """The folders of the records of a store: its own, and that of each imported bundle, by name.

    A name that starts with a dot is that of an import that is still being written.
    """
    folders = (root / RECORDS, *sorted((root / IMPORTED).glob(f"[!.]*/{RECORDS}")))
    return [folder for folder in folders if folder.is_dir()]


def launch_states(root: Path, read: Callable[[str, Mapping[str, Any]], T | None]) -> Iterator[T]:
    """Yields ``read(id, state)`` for each launch file of a store, sorted by ID; results that are None are left out.

    A file that is damaged, or for which ``read`` raises the error of a wrong value, is left out with a warning.
    """
    for path in sorted((root / LAUNCHES).glob("*.json")):
        try:
            found = read(path.stem, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
            _log.warning("the launch file %s cannot be read (%s)", path, error)
            continue
        if found is not None:
            yield found
