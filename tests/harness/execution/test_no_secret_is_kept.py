"""A real launch in an environment full of secrets leaves none of them in its store, in MLflow or in what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.execution.perform import _failure
from harness.records import provenance
from harness.records.store import Store
from harness.tracking.server import running

ROOT = Path(__file__).resolve().parents[3]
PLANTED = {
    "AWS_ACCESS_KEY_ID": "PLANTED-aws-id",
    "AWS_SECRET_ACCESS_KEY": "PLANTED-aws-secret",
    "MLFLOW_TRACKING_PASSWORD": "PLANTED-mlflow-password",
    "MLFLOW_TRACKING_USERNAME": "PLANTED-mlflow-user",
    "WANDB_API_KEY": "PLANTED-api-key",
}
SUITE = """
protocol: quick
seeds: [0]
settings: {epochs: 1, batch_size: 10, train_samples: 1, valid_samples: 1, test_samples: 1, test_repeats: 1,
           validate_every: 1, curve_size: 4, curve_samples: [1]}
experiments:
  - {tasks: [nbody], methods: [gnn-identity], task_params: {nodes: 4, train: 20, validation: 10, test: 10}}
"""


def launched(folder: Path, uri: str) -> str:
    """What ``symbench run`` says, with secrets in its environment and in the address of MLflow."""
    (folder / "small.yaml").write_text(SUITE)
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


def test_addresses_lose_their_passwords_in_commands_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["symbench", "run", "--store", "s3://PLANTED:PLANTED@bucket/store", "--set", "a=1"]
    )
    words = ("symbench", "run", "--store", "s3://bucket/store", "--set", "a=1")
    assert provenance.command_line() == words
    failure = _failure(ValueError("no answer from http://PLANTED:PLANTED@tracking:5000/api\nafter 3 tries"))
    assert failure.sentence == "ValueError: no answer from http://tracking:5000/api"
    assert "http://tracking:5000/api" in failure.traceback and "PLANTED" not in failure.traceback
