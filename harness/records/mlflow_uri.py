"""The MLflow tracking URI of a store, and the files of SQLite URIs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

DATABASE = "mlflow.db"
_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)(?P<options>\?.*)?", re.DOTALL)


def mlflow_uri(root: Path) -> str:
    """Returns ``MLFLOW_TRACKING_URI`` if it is set, else the URI of an SQLite file in the store at ``root``.

    A relative path becomes absolute, since workers have another current folder.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not given:
        return sqlite_uri(root / DATABASE)
    file, found = sqlite_file(given), _SQLITE.fullmatch(given)
    if file is None or found is None or found["path"].startswith("/"):
        return given
    return sqlite_uri(file) + (found["options"] or "")


def sqlite_uri(file: Path) -> str:
    """Returns the URI that opens this file.

    SQLAlchemy decodes the path of a URI, so ``%`` and ``?`` are quoted. MLflow does not decode it when it creates the
    folder of the file, but it only does so for the scheme ``sqlite:``.
    """
    path = str(file)
    quoted = path.replace("%", "%25").replace("?", "%3F")
    return f"{'sqlite' if quoted == path else 'sqlite+pysqlite'}:///{quoted}"


def sqlite_file(uri: str) -> Path | None:
    """Returns the file that SQLAlchemy opens for this URI, or None if it is no URI of an SQLite file."""
    found = _SQLITE.fullmatch(uri)
    if found is None or found["path"].startswith((":memory:", "file:")):
        return None
    return Path(unquote(found["path"])).absolute()
