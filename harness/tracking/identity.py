"""The identity of a store in MLflow, which does not depend on the path of its folder."""

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
    """The host and folder of a store, for people who read MLflow."""
    return f"{socket.gethostname()}:{store_root.resolve()}"


def store_id(store_root: Path, address: str | None = None) -> str:
    """Returns an identity that distinguishes a store from all others in the same MLflow.

    The identity of a local store is kept in a file in its folder; a copy of a store that still exists gets a new one.
    That of a remote store is a digest of its address.

    Args:
        store_root: The folder of the store.
        address: The address of a remote store.

    Raises:
        OSError: The file cannot be written.
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
    """Returns True if a run with these tags belongs to a store; older runs only have the tag of its location."""
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
