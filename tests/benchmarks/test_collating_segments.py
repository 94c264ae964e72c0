"""Collating a store whose records were taken into segments (aim for 1,000,000: 3 minutes cold, 5 s warm, 4 GiB).

``SYMBENCH_BENCH_RECORDS=1000000 pytest -m benchmark -s tests/benchmarks/test_collating_segments.py`` measures a
million; without the variable it is 100,000. Times are of the processor: where other work goes on, a clock tells little.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl
import pytest

from harness.records.segment_file import HISTORY, Kept, write_segment
from harness.records.store import Store
from tests.benchmarks.test_collating import texts

RECORDS = int(os.environ.get("SYMBENCH_BENCH_RECORDS", "100000"))
ROOT = Path(__file__).parents[2]
FINISHED = "2026-03-02T10:00:42+00:00"
MEASURED = """
import json, resource, sys, time
from pathlib import Path
from harness.collate import collate
from harness.collate.kept import keep_rows
from harness.records.store import Store

store = Store(Path(sys.argv[1]))
begin = time.process_time()
if sys.argv[2] == "parsing":
    keep_rows(store)
    rows = 0
else:
    rows = collate(store).runs.height
seconds, gib = time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"seconds": seconds, "gib": gib, "rows": rows}))
"""


def fill(store: Store, records: int) -> None:
    """Straight into segments, as :mod:`harness.records.compaction` writes them."""
    nothing = pl.DataFrame(schema=HISTORY)
    runs: Iterator[Kept] = (Kept(digest, "succeeded", FINISHED, text, nothing) for digest, text, *_ in texts(records))
    for _ in range(0, records, 50_000):
        write_segment(store.segments.new_path(), islice(runs, 50_000))


def measured(store: Store, step: str) -> dict[str, float]:
    """In a process of its own."""
    command = [sys.executable, "-c", MEASURED, str(store.root), step]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=3600, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("records", [4000, pytest.param(RECORDS, marks=pytest.mark.benchmark)])
def test_segments_become_tables_in_time(records: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "store")
    fill(store, records)
    parsing, cold, warm = (measured(store, step) for step in ("parsing", "cold", "warm"))
    with capsys.disabled():
        print(
            f"\n{records:,} records in {len(store.segments.names())} segments: "
            f"parsing {parsing['seconds']:.1f} s, once; tables {cold['seconds']:.1f} s cold ({cold['gib']:.2f} GiB), "
            f"{warm['seconds']:.2f} s warm ({warm['gib']:.2f} GiB)"
        )
    assert cold["rows"] == warm["rows"] == records
    assert warm["seconds"] <= cold["seconds"] / 2
    if records >= 100_000:
        assert cold["seconds"] <= 20 + 160 * records / 1e6 and warm["seconds"] <= 1 + 4 * records / 1e6
