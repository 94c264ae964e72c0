"""How long collating 20,000 records takes: 10 s cold, 1 s when nothing is new."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.collate import collate
from harness.records.store import Store
from tests.harness.synthetic import make_record

RECORDS = 20_000
METHODS = ("egnn", "gnn-frame", "gnn-haar", "gnn-learned", "transformer-haar", "transformer-learned", "mlp-learned")


@pytest.mark.benchmark
def test_collating_20_000_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "store")
    templates = {
        (method, nodes): make_record(method=method, task_params={"nodes": nodes}).to_dict()
        for method in METHODS
        for nodes in (4, 5, 8, 16, 32)
    }
    written = 0
    while written < RECORDS:
        for template in templates.values():
            seed = written // len(templates)
            digest = f"{written:016x}"
            spec = template["spec"] | {
                "seed": seed % 5,
                "settings": template["spec"]["settings"] | {"lr": seed // 5 + 1},
            }
            body = template | {"digest": digest, "spec": spec, "metrics": {"mse": 0.1 + seed / 100}}
            (store.root / "records" / f"{digest}.json").write_text(json.dumps(body, indent=1))
            written += 1
            if written == RECORDS:
                break
    times = {}
    for name in ("cold", "nothing new", "one new"):
        if name == "one new":
            (store.root / "records" / f"{'f' * 16}.json").write_text(json.dumps(body | {"digest": "f" * 16}))
        begin = time.perf_counter()
        tables = collate(store)
        times[name] = time.perf_counter() - begin
    with capsys.disabled():
        print(
            f"\ncollating {tables.runs.height:,} records: "
            + ", ".join(f"{name} {s:.2f} s" for name, s in times.items())
        )
