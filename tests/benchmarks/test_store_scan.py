"""How long a store of 20,000 records takes to say which runs are done (aim: below 0.3 s)."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from harness.execution.run_job import run_job
from harness.records.store import Store
from harness.registry import resolve
from harness.spec import Job, RunSpec
from harness.training.context import RunContext
from harness.training.results import CurvePoint, Outcome

pytestmark = pytest.mark.benchmark
RECORDS = 20_000


def run(spec: RunSpec, context: RunContext) -> Outcome:
    curve = tuple(CurvePoint(samples=2**power, value=0.1, value_error=0.1, variance=0.1) for power in range(7))
    return Outcome(metrics={"mse": 0.1}, curve=curve, cost={"parameters": 1})


def test_statuses_of_many_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    record = run_job(Job(spec=resolve("nbody", "egnn", "quick", 0), suite="s"), store, None, execute=run)
    body = store.record_path(record.digest, "succeeded").read_bytes()
    for index in range(RECORDS - 1):
        digest = f"{index:016x}"
        path = store.record_path(digest, "failed" if index % 10 == 0 else "succeeded")
        path.write_bytes(body.replace(record.digest.encode(), digest.encode()))
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        assert len(store.statuses()) == RECORDS
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    for path in (tmp_path / "records").glob("*.json"):
        json.loads(path.read_bytes())
    parsing = time.perf_counter() - began
    with capsys.disabled():
        print(
            f"\nstatuses of {RECORDS} records: {min(seconds):.3f} s best, {max(seconds):.3f} s worst; "
            f"{min(seconds) / parsing:.2f}x parsing all of them ({len(body)} bytes each)"
        )
    shutil.rmtree(tmp_path / "records")
