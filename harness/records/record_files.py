"""The files of single records: their names and their content."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.errors import StoreError
from harness.records.record import SCHEMA, Record, Status

FAILED = ".failed"
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""The errors that parsing a damaged record may raise."""
_GLANCE_BYTES = 1 << 16


def record_stem(digest: str, status: Status) -> str:
    """The name of a record's file without its suffix."""
    return digest if status == "succeeded" else f"{digest}{FAILED}"


def run_of(record: Path) -> tuple[str, Status]:
    """The digest and the status in the name of a record's file."""
    digest = record.stem.removesuffix(FAILED)
    return digest, "succeeded" if digest == record.stem else "failed"


def parsed(body: bytes, digest: str, status: Status, path: Path) -> Record:
    """Parses the JSON of a record.

    Args:
        body: The JSON.
        digest: The digest that the record must have.
        status: The status that the record must have.
        path: Where the JSON is from, for messages.

    Raises:
        StoreError: A newer version of symbench wrote it.
        ValueError: It is not the record of that run; for other damage one of :data:`DAMAGE` is raised.
    """
    values = json.loads(body)
    if isinstance(values, dict) and isinstance(schema := values.get("schema"), int) and schema > SCHEMA:
        raise StoreError(
            f"The record {path} was written by a newer symbench (schema {schema}; this one reads {SCHEMA}): "
            "update symbench."
        )
    record = Record.from_dict(values)
    if (values["digest"], record.status) != (digest, status):
        raise ValueError(f"it is the {record.status} record of run {values['digest']}")
    return record


def looks_whole(folder: int, name: str) -> bool:
    """A cheap test that truncated or zero-filled records fail; a record that fails it may still be parsed."""
    try:
        file = os.open(name, os.O_RDONLY, dir_fd=folder)
    except OSError:
        return False
    try:
        body = os.read(file, _GLANCE_BYTES)
    except OSError:
        return False
    finally:
        os.close(file)
    balanced = body.count(b"{") == body.count(b"}") and b"\0" not in body
    return balanced and body.startswith(b"{") and body.endswith(b"}\n")
