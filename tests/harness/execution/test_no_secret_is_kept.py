"""A real launch in an environment full of secrets leaves none of them in its store, in MLflow or in what it says."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness.cli import root
from harness.errors import SymbenchError
from harness.execution.progress import PlainProgress
from harness.execution.run_job import _failure, run_job
from harness.records import provenance
from harness.records.provenance import command_line
from harness.records.store import Store
from harness.spec import RunSpec
from harness.tracking import sync
from harness.tracking.connection import connect
from harness.tracking.server import running
from harness.training.context import RunContext
from harness.training.results import Outcome
from tests.harness.execution.conftest import make_job
from tests.tiny_suite import tiny_suite

ROOT = Path(__file__).resolve().parents[3]
PLANTED = {
    "AWS_ACCESS_KEY_ID": "PLANTED-aws-id",
    "AWS_SECRET_ACCESS_KEY": "PLANTED-aws-secret",
    "MLFLOW_TRACKING_PASSWORD": "PLANTED-mlflow-password",
    "MLFLOW_TRACKING_USERNAME": "PLANTED-mlflow-user",
    "WANDB_API_KEY": "PLANTED-api-key",
}


def launched(folder: Path, uri: str) -> str:
    """What ``symbench run`` says, with secrets in its environment and in the address of MLflow."""
    (folder / "small.yaml").write_text(tiny_suite(1))
    environment = {**os.environ, **PLANTED, "MLFLOW_TRACKING_URI": uri, "SYMBENCH_DATA": str(folder / "data")}
    words = [sys.executable, "-m", "harness.cli", "run", "small.yaml", "--store", str(folder / "store")]
    done = subprocess.run(
        words, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def holders(folder: Path) -> list[Path]:
    """The files with a secret in them."""
    return [path for path in folder.rglob("*") if path.is_file() and b"PLANTED" in path.read_bytes()]


def test_a_launch_keeps_no_secret(tmp_path: Path) -> None:
    server = Store(tmp_path / "server")
    with running(server.mlflow_uri, server.root, 0) as (url, _):
        said = launched(tmp_path, url.replace("//", "//PLANTED-user:PLANTED-password@"))
    [record] = Store(tmp_path / "store").records()
    assert record.status == "succeeded"
    assert "1 runs, 1 succeeded" in said and "PLANTED" not in said
    assert record.digest.encode() in (server.root / "mlflow.db").read_bytes()  # so the run is there, and was looked at
    assert holders(tmp_path) == []


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one of MLflow, which takes seconds to make."""
    store = Store(tmp_path_factory.mktemp("made"))
    connect(store.mlflow_uri).search_experiments()
    return store.root / "mlflow.db"


SECRETS = st.text("abcXYZ019!$*+,;:._~%@", min_size=6, max_size=30).map(lambda text: f"Zq{text}")


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECRETS)
def test_a_secret_typed_anywhere_is_in_no_file_no_mlflow_and_no_line(
    database: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    """In the command, in its environment, in what fails and in what is logged, noted and said."""
    address, query = f"s3://key:{secret}@bucket/store", f"https://host/data?token={secret}&x=1"
    store = Store(tmp_path_factory.mktemp("kept") / "store")
    shutil.copy(database, store.root)

    def execute(spec: RunSpec, context: RunContext) -> Outcome:
        logging.getLogger("somewhere").warning("asking %s with %s", query, {"password": secret})
        warnings.warn(f"slow: {address}", stacklevel=1)
        if spec.seed == 0:
            denied = os.environ["AWS_SECRET_ACCESS_KEY"]
            raise ConnectionError(f"no answer from {address}, nor from {query}: ({denied}) is denied")
        return Outcome(metrics={"unseparated": 0.0}, notes=(f"the data came from {query}",))

    with pytest.MonkeyPatch.context() as patch:
        words = ["symbench", "run", "x", "--store", address, "--set", f"a={query}", "--set", f"token={secret}"]
        patch.setattr(sys, "argv", words)
        patch.setenv("AWS_SECRET_ACCESS_KEY", f"{secret}|of|the|environment")
        jobs = [make_job(seed=seed) for seed in range(2)]
        records = [run_job(job, store, None, execute=execute) for job in jobs]
        sentences = {record.digest: record.failure.sentence for record in records if record.failure}
        store.write_launch("one", {"address": address, "command": command_line(), "failed": {"0": f"{query} is gone"}})
        progress = PlainProgress(Console(width=500))
        progress.note(f"cannot join {address}")
        progress.finished(jobs[0], "failed", f"{query} {sentences[jobs[0].spec.digest]}")
        patch.setattr(root, "app", lambda prog_name: raised(SymbenchError(f"--store {address}, {query}")))
        with pytest.raises(SystemExit):
            root.main()
        assert sync(store, store.mlflow_uri).logged == 2
    said = capsys.readouterr()
    assert [record.status for record in records] == ["failed", "succeeded"]
    assert "cannot join" in said.out and "--store s3://bucket/store" in said.err and secret not in said.out + said.err
    kept = [path for path in store.root.rglob("*") if path.is_file()]
    assert {"mlflow.db", "report.md", "traceback.txt"} <= {path.name for path in kept}
    assert [path for path in kept if secret.encode() in path.read_bytes()] == []
    assert [path for path in kept if f"{secret!r}".strip("'").encode() in path.read_bytes()] == []
    shutil.rmtree(store.root)


def raised(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "words",
    [
        ["run", "quick", f"--set=a=http://u:{PLANTED['WANDB_API_KEY']}@h"],
        ["run", "quick", "--store", "s3://key:PLANTED@nowhere.invalid:x/y"],
        ["run", "quick", "--address", "ray://u:PLANTED@127.0.0.1:9"],
        ["submit", "quick", "--store", "/s", "--address", "http://u:PLANTED@127.0.0.1:9"],
        ["jobs", "--address", "http://u:PLANTED@127.0.0.1:9"],
        ["tasks", "http://u:PLANTED@h"],
        ["http://u:PLANTED@h"],
        ["ui", "--port", "http://u:PLANTED@h"],
        ["report", "--out", "http://u:PLANTED@h"],
        ["run", "http://u:PLANTED@h/suite.yaml"],
        ["compare", "http://u:PLANTED@h", "x?token=PLANTED"],
    ],
)
def test_what_is_refused_is_said_without_its_secret(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.execution.jobs.ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(sys, "argv", ["symbench", *words])
    Store(tmp_path / "results" / "store")
    with pytest.raises(SystemExit) as left:
        root.main()
    said = capsys.readouterr()
    assert left.value.code == 2
    assert "PLANTED" not in said.out + said.err and "Traceback" not in said.err


def test_addresses_lose_their_passwords_in_commands_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["symbench", "run", "--store", "s3://PLANTED:PLANTED@bucket/store", "--set", "a=1"]
    )
    words = ("symbench", "run", "--store", "s3://bucket/store", "--set", "a=1")
    assert provenance.command_line() == words
    failure = _failure(ValueError("no answer from http://PLANTED:PLANTED@tracking:5000/api\nafter 3 tries"))
    assert failure.sentence == "ValueError: no answer from http://tracking:5000/api"
    assert "http://tracking:5000/api" in failure.traceback and "PLANTED" not in failure.traceback
