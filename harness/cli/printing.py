"""Helpers of the commands: opening stores and printing tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harness.errors import StoreError
from harness.utils.redaction import redacted

if TYPE_CHECKING:
    from harness.records.store import Store


def found_store(store: str) -> Store | None:
    """The store, or ``None`` if there is none: commands that only read never create it."""
    from harness.records.opening import existing_store

    return existing_store(store)


def needed_store(store: str) -> Store:
    """The store. Raises :class:`StoreError` if there is none."""
    opened = found_store(store)
    if opened is None:
        raise StoreError(f"There is no store at {store}: make one with 'symbench run quick' or name one with --store.")
    return opened


def print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Prints rows as JSON or as a table.

    The table leaves out ``version``, ``direction`` and ``deviations``, and ``plugin`` if no row has one.
    """
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        hidden = {"version", "direction", "deviations"}
        if not any(row["plugin"] for row in rows):
            hidden.add("plugin")
        columns = [key for key in rows[0] if key not in hidden]
        print_table(columns, [[cell(row[column]) for column in columns] for row in rows])


def cell(value: Any) -> str:
    """The text of a value in a table; ``-`` for None and an empty list."""
    if value is None or value == []:
        return "-"
    return ", ".join(value) if isinstance(value, list) else str(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints each row as one line of any length; the last column is not padded."""
    lines = [columns, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns) - 1)]
    for line in lines:
        typer.echo("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]))


def shown(path: Path | str) -> str:
    """The path relative to the current folder if it is inside it; an address without its password."""
    folder = Path(path)
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else redacted(str(path))
