"""Records are files that anybody may have changed: one that is read never stops the report, another is left out."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.collate import collate
from harness.records.store import Store
from harness.report import write_report
from harness.report.rendering.formats import estimate, plain
from tests.harness.synthetic import make_record, write

ODD: dict[str, tuple[str, Any]] = {
    "nodes that are a text": ("spec.task_params.nodes", "many"),
    "nodes that are a list": ("spec.task_params.nodes", [4]),
    "nodes below zero": ("spec.task_params.nodes", -4),
    "a size below zero": ("description.size", -4),
    "a value beyond squares": ("metrics.mse", 1e300),
    "an unknown k in training": ("spec.settings.train_samples", None),
    "a commit state that is a text": ("provenance.git_dirty", ""),
    "a version that is no text": ("provenance.symbench_version", True),
    "a device that is a list": ("provenance.device", ["a"]),
    "resources that are a text": ("provenance.resources", "all"),
    "time that is no number": ("provenance.wall_seconds", "long"),
    "a cost without end": ("cost.seconds_per_example", math.inf),
    "a cost below zero": ("cost.peak_memory_bytes", -5),
    "points that are none": ("curve", []),
    "a group nobody knows": ("description.group", "Monster"),
}
UNREADABLE: dict[str, tuple[str, Any]] = {
    "no base model": ("spec.base", None),
    "a sampler that is a list": ("spec.sampler", [1]),
    "settings that are a text": ("spec.settings", "fast"),
    "a curve that is a number": ("curve", 3),
    "a size beyond 64 bits": ("description.size", 2**70),
}


def changed(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(values)
    *way, last = path.split(".")
    inner = found
    for name in way:
        inner = inner[name]
    inner[last] = value
    return found


@pytest.mark.parametrize("change", [*ODD.values(), *UNREADABLE.values()], ids=[*ODD, *UNREADABLE])
def test_an_odd_record_does_not_stop_the_report(tmp_path: Path, change: tuple[str, Any]) -> None:
    records = [make_record(method="gnn-ga", seed=seed, task_params={"nodes": n}) for seed in (0, 1) for n in (4, 8)]
    first, *_ = write(tmp_path / "store", *records)
    first.write_text(json.dumps(changed(json.loads(first.read_text()), *change)))
    store = Store(tmp_path / "store")
    tables = collate(store)
    assert len(tables.left_out) == (change in UNREADABLE.values())
    assert tables.runs.height == len(records) - len(tables.left_out)
    write_report(tables, store, tmp_path)
    assert "gnn-ga" in (tmp_path / "leaderboard.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (plain(math.inf), "inf"),
        (plain(math.nan), "nan"),
        (estimate(0.5, math.inf), "0.5000 ± inf"),
        (estimate(math.inf, 1.0), "inf"),
    ],
)
def test_numbers_without_end_are_shown_as_such(shown: str, expected: str) -> None:
    assert shown.startswith(expected)
