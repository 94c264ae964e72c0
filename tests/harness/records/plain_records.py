"""Records of a run that was never made, with as few fields as a record can have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.records.history import HistoryRow
from harness.records.record import Description, Failure, Record
from harness.records.store import Store
from harness.spec import RunSpec
from tasks.protocol import Protocol

ROWS = [HistoryRow(0, "loss", 1.5, 0.1), HistoryRow(1, "loss", float("nan"), 0.2)]
DESCRIPTION = Description(
    group="S_n",
    metric="accuracy",
    direction="max",
    kind="equivariant",
    base_model="gin",
    sampler=None,
    control="accuracy_transformed",
)


def spec(seed: int = 0) -> RunSpec:
    return RunSpec(
        task="graph8c",
        task_version="1",
        method="gin",
        method_version="1",
        seed=seed,
        protocol="quick",
        settings=Protocol(),
    )


def succeeded(seed: int = 0, value: float = 0.5) -> Record:
    return Record(
        spec=spec(seed),
        suite="s",
        status="succeeded",
        description=DESCRIPTION,
        started="a",
        finished="b",
        metrics={"accuracy": value},
        provenance={"host": "h"},
    )


def failed(seed: int = 0) -> Record:
    return replace(
        succeeded(seed), status="failed", metrics={}, failure=Failure(sentence="It {broke.", traceback="{{{")
    )


def path_of(store: Store, record: Record) -> Path:
    return store.record_path(record.digest, record.status)
