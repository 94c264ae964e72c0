"""The artifact folder of an MLflow database, also after database and artifacts were moved or copied."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from harness.records.mlflow_uri import sqlite_file

FOLDER = "mlartifacts"
LOCKED_SECONDS = 20.0

_log = logging.getLogger(__name__)


def artifact_root(uri: str, store_root: Path) -> str:
    """The URI of the folder for artifacts: beside the file of an SQLite database, else in the store."""
    file = sqlite_file(uri)
    return ((file.parent if file else store_root).resolve() / FOLDER).as_uri()


def follow_move(uri: str) -> None:
    """Updates the paths of artifacts in an SQLite database that was moved or copied.

    MLflow stores absolute paths and has no call that changes them: new artifacts would be written to the old folder,
    and old ones would not be found. Artifacts that lie beside the database are taken from there, so that a copy needs
    nothing of the original. Does nothing if ``uri`` is no SQLite file with experiments of symbench.
    """
    file = sqlite_file(uri)
    if file is None or not file.is_file():
        return
    folder = file.resolve().parent
    with closing(sqlite3.connect(file, timeout=LOCKED_SECONDS)) as database, database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if not {"experiments", "runs"} <= tables:
            return
        here = (folder / FOLDER).as_uri()
        experiments = database.execute(
            "SELECT experiment_id, artifact_location FROM experiments WHERE name LIKE 'symbench/%'"
        ).fetchall()
        found = {experiment: (_move_runs(database, experiment, folder), place) for experiment, place in experiments}
        lost = sum(missing for missing, place in found.values() if place != here)  # said once
        database.executemany(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            [(here, experiment) for experiment, (_, place) in found.items() if place != here],
        )
    if lost:
        _log.warning("the artifacts of %d runs in MLflow are neither at their old path nor below %s", lost, folder)


def _move_runs(database: sqlite3.Connection, experiment: int, folder: Path) -> int:
    """Updates the runs whose artifacts are below ``folder`` now; returns the number of finished runs without any."""
    lost, moved = 0, []
    rows = database.execute("SELECT run_uuid, artifact_uri, status FROM runs WHERE experiment_id = ?", [experiment])
    for run, uri, status in rows:
        path = _path(uri)
        if path.is_relative_to(folder):
            continue
        found = _below(folder, path)
        if found is not None:
            moved.append((found.as_uri(), run))
        elif not path.is_dir():
            lost += status == "FINISHED" and _mirrors_a_record(database, run)
    database.executemany("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", moved)
    return lost


def _below(folder: Path, path: Path) -> Path | None:
    """The longest suffix of ``path`` that is a folder below ``folder``; it contains a run's id, so it is unique."""
    ends = (folder.joinpath(*path.parts[start:]) for start in range(1, len(path.parts) - 1))
    return next((end for end in ends if end.is_dir()), None)


def _mirrors_a_record(database: sqlite3.Connection, run: str) -> bool:
    rows = database.execute("SELECT 1 FROM tags WHERE run_uuid = ? AND key = 'symbench.finished'", [run])
    return rows.fetchone() is not None


def _path(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path) if uri.startswith("file:") else uri)
