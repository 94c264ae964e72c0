"""Whatever is typed or plugged in: exit code 2, one sentence on stderr, no traceback, and nothing made or changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import harness
from harness.cli import root
from harness.records.store import Store
from tests.harness.synthetic import demo_records, write

ROOT = Path(harness.__file__).resolve().parents[1]
Call = Callable[..., tuple[int, str, str]]
SUITE = "protocol: quick\nseeds: 1\nexperiments: [{tasks: [graph8c], methods: [gin]}]\n"
DEAD, URL = "127.0.0.1:9", "http://127.0.0.1:9"
LONG = "x" * 300


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite, a store, and all that may be meant for one of them."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "mine.yaml").write_text(SUITE)
    (folder / "file").write_text("text")
    (folder / "folder.yaml").mkdir()
    (folder / "bytes.yaml").write_bytes(bytes(range(256)))
    (folder / "bytes.zip").write_bytes(b"PK\x03\x04" + bytes(200))
    (folder / "broken.db").write_bytes(b"no database" * 100)
    store = Store(folder / "full")
    write(store.root, *demo_records()[:4])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield tmp_path


@pytest.fixture
def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command says that refuses to do anything."""

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["symbench", *words])
        with pytest.raises(SystemExit) as ended:
            root.main()
        said = capsys.readouterr()
        assert ended.value.code == 2, said
        assert len(said.err.splitlines()) == 1 and "Traceback" not in said.err, said.err
        return said.err

    return run


STORES = {
    "file": "is a file, and a store is a folder",
    "file/store": "file is a file, and a store is a folder",
    "/dev/null/store": "/dev/null is a file",
    LONG: "cannot be used as a path",
    "": "path of a file or folder is empty",
    "~nobody-here/store": "cannot be used as a path",
    "s3://": "name a folder, or an address such as s3://",
    "://store": "name a folder, or an address",
    "http://127.0.0.1:9/store": "name a folder, or an address",
    "file://file/store": "is a file, and a store is a folder",
}
COMMANDS = (
    ["plan", "mine.yaml"],
    ["run", "mine.yaml"],
    ["search", "nbody_egnn"],
    ["collate"],
    ["report"],
    ["status"],
    ["sync"],
    ["ui"],
    ["compare", "gin", "gcn"],
    ["export", "out.zip"],
    ["import", "bytes.zip"],
    ["doctor"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_store_that_can_be_none(command: list[str], refused: Callable[..., str], folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    for store, sentence in STORES.items():
        assert sentence in refused(*command, "--store", store)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("command", COMMANDS[3:10], ids=lambda words: words[0])
def test_a_store_that_is_not_there(command: list[str], refused: Callable[..., str], folder: Path) -> None:
    assert "There is no store at nowhere/store" in refused(*command, "--store", "nowhere/store")
    assert not (folder / "nowhere").exists()


PATHS = [
    (
        ["report", "--store", "full", "--out"],
        ["file", "file/out", "/dev/null/out", "/proc/out", LONG, "", "s3://b/out"],
    ),
    (
        ["report", "--store", "full", "--against"],
        ["file", "nowhere", "folder.yaml", "bytes.zip", "", LONG, "http://x/y"],
    ),
    (["export", "--store", "full"], ["file", "file/out.zip", "/proc/out.zip", "", LONG, "folder.yaml", "s3://b/x.zip"]),
    (["import", "--store", "full"], ["file", "nowhere.zip", "folder.yaml", "bytes.zip", "", LONG, "s3://b/x.zip"]),
    (["plan"], ["folder.yaml", "bytes.yaml", "nowhere.yaml", "file", "", LONG, "http://x/y.yaml"]),
    (["search"], ["folder.yaml", "bytes.yaml", "nowhere.yaml", "file", "mine.yaml", "", LONG]),
    (["submit", "--store", "/store", "--address", URL], ["folder.yaml", "bytes.yaml", "nowhere", "mine.yaml"]),
    (
        ["submit", "mine.yaml", "--store", "/store", "--address", URL, "--runtime-env"],
        ["folder.yaml", "bytes.yaml", "nowhere", "file", ""],
    ),
    (["submit", "mine.yaml", "--address", URL, "--store"], ["", "relative", "./here"]),
]


@pytest.mark.parametrize(("words", "paths"), PATHS, ids=lambda value: " ".join(value[:3]))
def test_a_path_that_is_not_what_is_meant(words: list[str], paths: list[str], refused: Callable[..., str]) -> None:
    for path in paths:
        refused(*words, path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nope"], "No such command 'nope'"),
        (["run"], "Missing argument 'SUITE'"),
        (["run", "mine.yaml", "--nope"], "No such option: --nope"),
        (["--nope"], "No such option: --nope"),
        (["tasks", "more"], "unexpected extra argument"),
        (["run", "mine.yaml", "--slots", "x"], "Invalid value for '--slots'"),
        (["run", "mine.yaml", "--slots", "0"], "Invalid value for '--slots'"),
        (["run", "mine.yaml", "--slots", "1.5"], "Invalid value for '--slots'"),
        (["ui", "--port", "99999"], "Invalid value for '--port'"),
        (["run", "mine.yaml", "--set", "seeds"], "--set seeds"),
        (["run", "mine.yaml", "--set", "=1"], "--set =1"),
        (["run", "mine.yaml", "--only", "gin"], "--only gin"),
        (["run", "mine.yaml", "--only", "=x"], "--only"),
        (["check", "gin", "--task", "graph8c", "--samples", "a"], "--samples a"),
        (["check", "gin", "--task", "graph8c", "--samples", ""], "--samples"),
        (["check", "gin", "--task", "graph8c", "--samples", "0"], "--samples takes"),
        (["check", "gin", "--task", "graph8c", "--samples", "-1,4"], "--samples takes"),
        (["check", "gin", "--task", "nope"], "nope"),
        (["check", "nope", "--task", "nbody"], "nope"),
        (["check", "gin", "--task", "graph8c", "--set", "base.width=x"], "width"),
        (["compare", "nope", "gin", "--store", "full"], "nope"),
        (["status", "nope", "--store", "full"], "There was no launch"),
        (["export", "new.zip", "--store", "full", "--suite", "nope"], "nope"),
        (["export", "new.zip", "--store", "full", "--name", "a/b"], "a/b"),
        (["jobs"], "Which cluster?"),
        (["jobs", "stop", "x"], "Which cluster?"),
        (["jobs", "--address", DEAD], "jobs go to the head's dashboard"),
        (["jobs", "--address", "http://"], "jobs go to the head's dashboard"),
        (["jobs", "--address", "http://host:port"], "jobs go to the head's dashboard"),
        (["jobs", "--address", f"ray://{DEAD}"], "jobs go to the head's dashboard"),
        (["jobs", "--address", URL], "No Ray dashboard answers"),
        (["jobs", "logs", "x", "--follow", "--address", URL], "No Ray dashboard answers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_mean_nothing(words: list[str], sentence: str, refused: Callable[..., str]) -> None:
    assert sentence in refused(*words)


@pytest.mark.parametrize("words", [["run", "mine.yaml"], ["search", "nbody_egnn"]], ids=lambda words: words[0])
def test_a_cluster_that_cannot_be_joined(words: list[str], refused: Callable[..., str], folder: Path) -> None:
    wrong = ("http://head:8265", "https://head", "head", "head:port", "head:99999", "ray://", "ray://head", "", "a b:1")
    for address in wrong:
        assert "give the head's HOST:PORT, ray://HOST:PORT, or auto" in refused(*words, "--address", address)
    assert "is a dashboard, which takes jobs" in refused(*words, "--address", "http://head:8265")
    assert not (folder / "results").exists()
    for address in (DEAD, f"ray://{DEAD}", "[::1]:9"):
        assert f"No Ray cluster answers at --address {address}" in refused(*words, "--address", address)


MLFLOWS = (
    URL,
    "http://host:port",
    "http://",
    "nonsense://x",
    "sqlite:///broken.db",
    "sqlite:///folder.yaml",
    "sqlite:////proc/x/y.db",
    "mlruns",
)


@pytest.mark.parametrize("uri", [*MLFLOWS, f"postgresql+psycopg2://{DEAD}/x"])
def test_an_mlflow_that_cannot_be_used(
    uri: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert "cannot be used" in refused("sync", "--store", "full")
    assert "cannot be used" in refused("compare", "gin", "mlp-none", "--store", "full")
    if uri.startswith("http"):
        assert "cannot be used" in refused("ui", "--port", "0", "--store", "full")


def test_a_broken_database_of_the_store_has_no_pages(refused: Callable[..., str], folder: Path) -> None:
    shutil.copy("broken.db", "full/mlflow.db")
    assert "cannot be used (file is not a database)" in refused("ui", "--port", "0", "--store", "full")


def test_doctor_tells_of_an_address_that_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:port")
    monkeypatch.setattr(sys, "argv", ["symbench", "doctor", "--store", "full"])
    with pytest.raises(SystemExit) as ended:
        root.main()
    said = capsys.readouterr()
    assert ended.value.code == 1 and "http://host:port is no address" in said.out and said.err == ""


def test_records_of_a_newer_symbench_stay_where_they_are(refused: Callable[..., str], folder: Path) -> None:
    [first, *_] = sorted((folder / "full" / "records").glob("*.json"))
    values = json.loads(first.read_text())
    first.write_text(json.dumps(values | {"schema": 99, "of_then": 1}, indent=1) + "\n")
    before = first.read_bytes()
    assert "was written by a newer symbench (schema 99" in refused("sync", "--store", "full")
    assert "newer symbench" in refused("plan", "mine.yaml", "--cost", "--store", "full")
    assert first.read_bytes() == before


BROKEN_ACCOUNTS = (
    [],
    "text",
    None,
    3,
    {"started": "soon"},
    {"digests": 3},
    {"failed": 3},
    {"progress": {"running": {"x": {}}}},
    {"started": "2026-01-01T00:00:00"},
    {"progress": {"updated": 3}},
)


@pytest.mark.parametrize("broken", BROKEN_ACCOUNTS, ids=str)
def test_an_account_of_a_launch_that_is_broken_is_passed_over(
    broken: object,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refused: Callable[..., str],
) -> None:
    good = {"id": "a", "suite": "good", "started": "2026-01-01T00:00:00+00:00", "status": "running", "digests": ["x"]}
    bad = {**good, "suite": "bad", **broken} if isinstance(broken, dict) else broken
    (folder / "full" / "launches" / "bad.json").write_text(json.dumps(bad))
    assert "There was no launch" in refused("status", "--store", "full")
    (folder / "full" / "launches" / "good.json").write_text(json.dumps(good))
    monkeypatch.setattr(sys, "argv", ["symbench", "status", "--store", "full"])
    with pytest.raises(SystemExit) as ended:
        root.main()
    said = capsys.readouterr()
    assert ended.value.code == 0 and "good" in said.out and "bad" not in said.out and "Traceback" not in said.err


FULL_DISK = """
import os, sys
from harness.cli import root
for words in [
    ["collate", "--store", "small/full"], ["report", "--store", "small/full"],
    ["report", "--store", "full", "--out", "small/out"],
    ["export", "small/x.zip", "--store", "full"], ["import", "x.zip", "--store", "small/new"],
    ["run", "mine.yaml", "--store", "small/new"], ["search", "nbody_egnn", "--store", "small/new"],
    ["sync", "--store", "small/full"],
]:
    sys.argv = ["symbench", *words]
    print("+", *words, file=sys.stderr, flush=True)
    try:
        root.main()
        code = 0
    except SystemExit as ended:
        code = ended.code
    print("=", code, file=sys.stderr, flush=True)
"""
MOUNT = 'mount -t tmpfs -o size=1m none small && cp -r full small/full && "$0" -m harness.cli export x.zip --store full'
FILL = 'dd if=/dev/zero of=small/filler bs=1k 2>/dev/null; exec "$0" -c "$1"'


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs a small disk of its own")
def test_a_disk_that_is_full(folder: Path) -> None:
    (folder / "small").mkdir()
    words = ["unshare", "--mount", "sh", "-c", f"{MOUNT} && {{ {FILL}; }}", sys.executable, FULL_DISK]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
    said = [part.strip().splitlines() for part in done.stderr.split("+ ")[1:]]
    assert len(said) == 8, done.stderr
    for command, *sentences, code in said:
        assert code == "= 2", (command, sentences)
        assert len(sentences) == 1 and re.search("No space left|disk is full", sentences[0]), (command, sentences)
