"""Which runs in MLflow are of a store, however its folder is spelled and wherever it is moved."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.tracking.content import STORE, STORE_ID
from harness.utils.redaction import redacted
from tasks.sources.atomic_files import staged

FILE = "mlflow.store.json"
_DIGITS = 16


def origin(store_root: Path) -> str:
    """Where a store is, for people who look at MLflow."""
    return f"{socket.gethostname()}:{store_root.resolve()}"


def store_id(store_root: Path, address: str | None = None) -> str:
    """Names a store among all that share an MLflow, as long as it lives.

    The name of a folder's store is kept in it. A copy of a store whose original is still there gets a name of its own.
    A store behind an ``address`` is named by that, on every machine. Raises ``OSError`` where the name cannot be kept.
    """
    if address is not None and "://" in address:
        return hashlib.sha256(redacted(address).encode()).hexdigest()[:_DIGITS]
    path = store_root.resolve() / FILE
    known = _read(path)
    if known is None or _is_copy(known, path):
        _write(path, secrets.token_hex(_DIGITS // 2))
    elif known["root"] != str(path.parent):
        _write(path, known["id"])
    kept = _read(path)
    if kept is None:
        raise OSError(f"{path} cannot be read back")
    return str(kept["id"])


def is_of(tags: Mapping[str, str], place: str, identity: str) -> bool:
    """Whether the tags are of a run of that store; older runs know nothing but its place."""
    return tags[STORE_ID] == identity if STORE_ID in tags else tags.get(STORE) == place


def _is_copy(known: Mapping[str, Any], path: Path) -> bool:
    there = Path(known["root"], FILE)
    original = _read(there)
    return original is not None and original["id"] == known["id"] and not there.samefile(path)


def _read(path: Path) -> Mapping[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        values = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(values, dict) and isinstance(values.get("id"), str) and isinstance(values.get("root"), str):
            return values
    return None


def _write(path: Path, identity: str) -> None:
    with staged(path) as place:
        place.write_text(json.dumps({"id": identity, "root": str(path.parent)}) + "\n", encoding="utf-8")
