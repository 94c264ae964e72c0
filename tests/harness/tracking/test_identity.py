"""A store is itself however its folder is called, spelled or moved: in MLflow's database and in its artifacts."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from harness.records import mlflow_uri
from harness.records.mlflow_uri import sqlite_file, sqlite_uri
from harness.records.record import Record
from harness.records.store import Store
from harness.spec import Job
from harness.tracking import LaunchTracker, RunTracker, SyncResult, sync
from harness.tracking.artifacts import follow_move
from harness.tracking.connection import connect
from harness.tracking.identity import store_id
from harness.tracking.server import running
from harness.tracking.writing import open_run

NAMES = (
    "a%2Fb",
    "%41",
    "100%",
    "a?b=c",
    "a#b",
    "a b",
    "a+b",
    "a;b",
    "a&b=c",
    "a:b",
    "a@b",
    "[x]",
    "a*b",
    "a\\b",
    "it's",
    "ünï",
    "a\nb",
    "%25%3F?#",
)
Runs = Callable[..., list[Any]]
Put = Callable[..., Record]


@pytest.fixture
def at(new_database: Path) -> Callable[[Path], Store]:
    """A store at that place, with a database of MLflow in it."""

    def make(root: Path) -> Store:
        store = Store(root)
        shutil.copy(new_database, store.root)
        return store

    return make


def artifacts_of(run: Any) -> Path:
    return Path(url2pathname(urlsplit(run.info.artifact_uri).path))


def inside(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_logged_lies_in_the_store_that_was_named(
    name: str, at: Callable[[Path], Store], make_record: Put, mlflow_runs: Runs, tmp_path: Path
) -> None:
    store, record = at(tmp_path / name), make_record()
    store.write(record, [])
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1)
    assert inside(tmp_path) == {name}
    with sqlite3.connect(store.root / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM tags WHERE value = ?", [record.digest]).fetchone() == (1,)
    [page] = store.root.glob("mlartifacts/*/artifacts/report.md")
    [run] = mlflow_runs(store.mlflow_uri)
    fetched = connect(store.mlflow_uri).download_artifacts(run.info.run_id, "report.md")
    assert Path(fetched).read_text() == page.read_text()


def test_a_new_database_and_its_pages_are_those_of_the_store_that_was_named(
    tmp_path: Path, make_record: Put, mlflow_runs: Runs
) -> None:
    name = "%2F?x=1#%41 +ü"
    store = Store(tmp_path / name)
    store.write(make_record(), [])
    assert sync(store, store.mlflow_uri) == SyncResult(logged=1)
    assert inside(tmp_path) == {name} and (store.root / "mlflow.db").is_file()
    [run] = mlflow_runs(store.mlflow_uri)
    with running(store.mlflow_uri, store.root, 0) as (url, process):
        asked = f"{url}/get-artifact?path=report.md&run_uuid={run.info.run_id}"
        assert urllib.request.urlopen(asked, timeout=10).read().startswith(b"# nbody x gnn-ga")
        assert not any("mlflow.db" in word for word in Path(f"/proc/{process.pid}/cmdline").read_text().split("\0"))
    assert inside(tmp_path) == {name}


@pytest.mark.parametrize("name", [*NAMES, "plain"])
def test_an_address_of_sqlite_reads_back_to_its_file(name: str) -> None:
    file = Path("/somewhere", name, "mlflow.db")
    assert sqlite_file(sqlite_uri(file)) == file


@pytest.mark.parametrize("uri", ["http://host:5000", "postgresql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_other_addresses_have_no_file(uri: str) -> None:
    assert sqlite_file(uri) is None


def test_a_file_of_the_current_folder_is_the_same_file_for_workers_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///some.db?timeout=3")
    assert mlflow_uri.mlflow_uri(tmp_path / "store") == f"sqlite:///{tmp_path}/some.db?timeout=3"
    for kept in ("http://host:5000", "sqlite:////whole/path.db", "postgresql://host/db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", kept)
        assert mlflow_uri.mlflow_uri(tmp_path / "store") == kept


@pytest.mark.parametrize("spelling", ["link", "link/../link", "real/../real", "real/searches/.."])
def test_runs_of_a_killed_launch_are_ended_by_a_launch_that_spells_the_store_otherwise(
    spelling: str,
    at: Callable[[Path], Store],
    make_job: Callable[..., Job],
    make_record: Put,
    mlflow_runs: Runs,
    tmp_path: Path,
) -> None:
    store = at(tmp_path / "real")
    (store.root / "searches").mkdir()
    os.symlink(store.root, tmp_path / "link")
    killed = LaunchTracker.start(store.mlflow_uri, "quick", "killed", store.root)
    open_run(
        connect(store.mlflow_uri),
        killed.handle.experiment_id,
        make_job(),
        make_record().description,
        killed.handle.home,
        0,
    )
    again = Path(f"{tmp_path}/{spelling}")
    assert LaunchTracker.start(sqlite_uri(again / "mlflow.db"), "quick", "next", again).lost is None
    assert [run.info.status for run in mlflow_runs(store.mlflow_uri)] == ["KILLED"]


def test_runs_that_know_nothing_but_their_place_are_told_by_it(
    at: Callable[[Path], Store], make_job: Callable[..., Job], make_record: Put, mlflow_runs: Runs, tmp_path: Path
) -> None:
    store = at(tmp_path / "store")
    killed = LaunchTracker.start(store.mlflow_uri, "quick", "killed", store.root)
    client = connect(store.mlflow_uri)
    for place in (f"{socket.gethostname()}:{store.root}", "elsewhere:/store"):
        tags = {"symbench.digest": "0" * 16, "symbench.store": place}
        client.create_run(killed.handle.experiment_id, tags=tags)
    LaunchTracker.start(store.mlflow_uri, "quick", "next", store.root)
    ended = {run.data.tags["symbench.store"]: run.info.status for run in mlflow_runs(store.mlflow_uri)}
    assert ended == {f"{socket.gethostname()}:{store.root}": "KILLED", "elsewhere:/store": "RUNNING"}


def test_more_unfinished_runs_than_a_page_are_all_ended(
    at: Callable[[Path], Store], mlflow_runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.tracking.writing.PAGE", 3)
    store = at(tmp_path / "store")
    for number in range(4):
        handle = LaunchTracker.start(store.mlflow_uri, "quick", f"{number}", store.root).handle
        client = connect(store.mlflow_uri)
        tags = {"symbench.digest": "0" * 16, "symbench.store_id": handle.store_id}
        for _ in range(4 if number == 0 else 0):
            client.create_run(handle.experiment_id, tags=tags)
        if number == 0:
            client.create_run(handle.experiment_id, tags={**tags, "symbench.store_id": "another"})
    assert [run.info.status for run in mlflow_runs(store.mlflow_uri)].count("RUNNING") == 1


def test_a_moved_store_logs_where_it_is_and_finds_what_it_logged(
    at: Callable[[Path], Store],
    put_in: Callable[[Store, int], Record],
    make_job: Callable[..., Job],
    make_record: Put,
    mlflow_runs: Runs,
    tmp_path: Path,
) -> None:
    store = at(tmp_path / "old place")
    first = put_in(store, 0)
    sync(store, store.mlflow_uri)
    killed = LaunchTracker.start(store.mlflow_uri, "quick", "killed", store.root)
    open_run(
        connect(store.mlflow_uri),
        killed.handle.experiment_id,
        make_job(9),
        make_record().description,
        killed.handle.home,
        0,
    )
    (tmp_path / "deeper").mkdir()
    os.rename(store.root, tmp_path / "deeper" / "new place")

    moved = Store(tmp_path / "deeper" / "new place")
    tracker = LaunchTracker.start(moved.mlflow_uri, "quick", "next", moved.root)
    second = put_in(moved, 1)
    run = RunTracker(tracker.handle, make_job(1), second.description)
    run.finish(second, {})
    assert run.lost is None
    assert inside(tmp_path) == {"deeper"}
    runs = {run.data.tags["symbench.digest"]: run for run in mlflow_runs(moved.mlflow_uri)}
    for record in (first, second):
        folder = artifacts_of(runs[record.digest])
        assert folder.is_relative_to(moved.root)
        assert json.loads((folder / "record.json").read_text())["digest"] == record.digest
    assert runs[make_job(9).spec.digest].info.status == "KILLED"
    assert sync(moved, moved.mlflow_uri) == SyncResult(skipped=2)


@pytest.fixture
def put_in(make_record: Put, make_job: Callable[..., Job]) -> Callable[[Store, int], Record]:
    def write(store: Store, seed: int) -> Record:
        record = make_record(make_job(seed))
        store.write(record, [])
        return record

    return write


def test_artifacts_that_a_move_left_behind_are_said(
    at: Callable[[Path], Store],
    put_in: Callable[[Store, int], Record],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    mlflow_runs: Runs,
) -> None:
    store = at(tmp_path / "old")
    put_in(store, 0), put_in(store, 1)
    sync(store, store.mlflow_uri)
    os.rename(store.root, tmp_path / "new")
    left = mlflow_runs(sqlite_uri(tmp_path / "new" / "mlflow.db"))[0].info.run_id
    shutil.rmtree(tmp_path / "new" / "mlartifacts" / left)
    moved = Store(tmp_path / "new")
    sync(moved, moved.mlflow_uri)
    assert f"1 runs in MLflow are neither at their old path nor below {tmp_path / 'new'}" in caplog.text
    caplog.clear()
    sync(moved, moved.mlflow_uri)
    assert caplog.text == ""


def test_artifacts_of_a_search_move_with_the_store_that_it_is_in(
    at: Callable[[Path], Store], put_in: Callable[[Store, int], Record], mlflow_runs: Runs, tmp_path: Path
) -> None:
    store = at(tmp_path / "old")
    own = Store(store.root / "searches" / "wide")
    put_in(own, 0)
    sync(own, store.mlflow_uri)
    with sqlite3.connect(store.root / "mlflow.db") as database:  # as it was when searches had artifacts of their own
        os.rename(store.root / "mlartifacts", own.root / "mlartifacts2")
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            change = f"UPDATE {table} SET {column} = replace({column}, 'old/', 'old/searches/wide/')"
            database.execute(change.replace("mlartifacts", "mlartifacts2"))
            database.execute(f"UPDATE {table} SET {column} = replace({column}, '/mlartifacts', '/mlartifacts2')")
    os.rename(store.root, tmp_path / "new")
    moved = Store(tmp_path / "new")
    assert sync(Store(moved.root / "searches" / "wide"), moved.mlflow_uri) == SyncResult(skipped=1)
    [run] = mlflow_runs(moved.mlflow_uri)
    assert artifacts_of(run).is_relative_to(moved.root / "searches") and (artifacts_of(run) / "record.json").is_file()
    assert inside(tmp_path) == {"new"}


def test_a_store_keeps_its_name_and_a_copy_of_it_gets_another(tmp_path: Path) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    for folder in (first, other):
        folder.mkdir()
    name = store_id(first)
    assert store_id(first) == name != store_id(other)
    os.symlink(first, tmp_path / "link")
    assert store_id(tmp_path / "link") == name
    os.rename(first, tmp_path / "moved")
    assert store_id(tmp_path / "moved") == store_id(tmp_path / "moved") == name
    shutil.copytree(tmp_path / "moved", tmp_path / "copy")
    copied = store_id(tmp_path / "copy")
    assert copied != name and store_id(tmp_path / "copy") == copied
    assert store_id(tmp_path / "moved") == name
    (tmp_path / "moved" / "mlflow.store.json").write_text("{")
    assert len(store_id(tmp_path / "moved")) == len(name)


def test_a_store_behind_an_address_has_one_name_on_all_machines(tmp_path: Path) -> None:
    first, second = (store_id(tmp_path / host, "s3://bucket/store") for host in ("one", "two"))
    assert (
        first == second == store_id(tmp_path, "s3://user:password@bucket/store") != store_id(tmp_path, "s3://bucket/b")
    )


def test_what_others_keep_in_the_database_is_left_alone(at: Callable[[Path], Store], tmp_path: Path) -> None:
    store = at(tmp_path / "store")
    theirs, ours = (tmp_path / "theirs").as_uri(), (tmp_path / "gone").as_uri()
    client = connect(store.mlflow_uri)
    foreign = client.create_experiment("their own", artifact_location=theirs)
    own = client.create_experiment("symbench/quick", artifact_location=ours)
    follow_move(store.mlflow_uri)
    assert client.get_experiment(foreign).artifact_location == theirs
    assert client.get_experiment(own).artifact_location == (store.root / "mlartifacts").as_uri()


def test_a_copy_has_its_own_artifacts_found_by_the_longest_end_and_others_stay_where_they_are(
    at: Callable[[Path], Store], tmp_path: Path
) -> None:
    store, old = at(tmp_path / "store"), tmp_path / "old"
    client = connect(store.mlflow_uri)
    experiment = client.create_experiment("symbench/quick", artifact_location=(old / "wide" / "mlartifacts").as_uri())
    left, copied = (client.create_run(experiment).info for _ in range(2))
    for one in (left, copied):
        (old / "wide" / "mlartifacts" / one.run_id / "artifacts").mkdir(parents=True)
    for place in ("", "wide"):
        (store.root / place / "mlartifacts" / copied.run_id / "artifacts").mkdir(parents=True)
    follow_move(store.mlflow_uri)
    assert client.get_run(left.run_id).info.artifact_uri == left.artifact_uri
    longest = store.root / "wide" / "mlartifacts" / copied.run_id / "artifacts"
    assert client.get_run(copied.run_id).info.artifact_uri == longest.as_uri()


def test_a_copy_opens_its_artifacts_after_the_original_was_deleted(
    at: Callable[[Path], Store], put_in: Callable[[Store, int], Record], mlflow_runs: Runs, tmp_path: Path
) -> None:
    store = at(tmp_path / "original")
    record = put_in(store, 0)
    sync(store, store.mlflow_uri)
    shutil.copytree(store.root, tmp_path / "copy")
    copy = Store(tmp_path / "copy")
    assert sync(copy, copy.mlflow_uri).failed == 0  # while the original is there
    shutil.rmtree(store.root)
    for run in mlflow_runs(copy.mlflow_uri):
        page = connect(copy.mlflow_uri).download_artifacts(run.info.run_id, "record.json")
        assert json.loads(Path(page).read_text())["digest"] == record.digest
