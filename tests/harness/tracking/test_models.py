"""Runs that kept their weights as models of MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import symbench
from harness.errors import StoreError, TrackingError
from harness.records.store import Store
from harness.tracking import sync
from harness.tracking.connection import connect
from harness.tracking.models import register

SMALL = {"epochs": 1, "batch_size": 8, "curve_size": 4}
DATA = {"train": 16, "validation": 8, "test": 8}


def test_a_registered_model_predicts_what_the_trained_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    folder = tmp_path / "store"
    digests = [
        symbench.evaluate(
            "gnn-ga", "nbody", seeds=[seed], settings=SMALL, task_params=DATA, store=folder, keep_weights=keep
        )
        .records[-1]
        .digest
        for seed, keep in ((0, True), (1, False))
    ]
    store = Store(folder)
    with pytest.raises(TrackingError, match="'symbench sync' logs it"):
        register(store, digests[0], "nbody")
    sync(store, store.mlflow_uri)
    assert [register(store, digests[0], "nbody") for _ in range(2)] == ["models:/nbody/1", "models:/nbody/2"]
    with pytest.raises(StoreError, match="did not keep its weights"):
        register(store, digests[1], "nbody")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.mlflow_uri)
    loaded = mlflow.pytorch.load_model("models:/nbody/1")
    trained = symbench.load(digests[0], folder)
    x = trained.module.prepared(trained.problem.data("test").inputs)
    first, second = (module(x, 2, torch.Generator().manual_seed(3)).value for module in (trained.module, loaded))
    assert torch.equal(first, second)
    version = connect(store.mlflow_uri).get_model_version("nbody", "1")
    assert connect(store.mlflow_uri).get_run(version.run_id).data.tags["symbench.digest"] == digests[0]
