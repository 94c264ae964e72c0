"""The address of the MLflow that mirrors a store, and the file behind an address of SQLite."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

DATABASE = "mlflow.db"
_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)(?P<options>\?.*)?", re.DOTALL)


def mlflow_uri(root: Path) -> str:
    """``MLFLOW_TRACKING_URI`` where it is set, else an SQLite file in the store at ``root``.

    A file of the current folder is given by its whole path: workers have another current folder.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not given:
        return sqlite_uri(root / DATABASE)
    file, found = sqlite_file(given), _SQLITE.fullmatch(given)
    if file is None or found is None or found["path"].startswith("/"):
        return given
    return sqlite_uri(file) + (found["options"] or "")


def sqlite_uri(file: Path) -> str:
    """The address that opens this very file.

    SQLAlchemy decodes the path of an address, so what it would take for an escape or for the end of the path is quoted.
    MLflow does not decode it when it makes the folder of the file, but it does that for ``sqlite:`` alone.
    """
    path = str(file)
    quoted = path.replace("%", "%25").replace("?", "%3F")
    return f"{'sqlite' if quoted == path else 'sqlite+pysqlite'}:///{quoted}"


def sqlite_file(uri: str) -> Path | None:
    """The file that SQLAlchemy opens for this address; ``None`` where it is no address of an SQLite file."""
    found = _SQLITE.fullmatch(uri)
    if found is None or found["path"].startswith((":memory:", "file:")):
        return None
    return Path(unquote(found["path"])).absolute()
