"""Planning a launch of 100,000 runs (aim: at most 30 s, below 1 GiB), and that it grows no faster than the runs.

Measured on two cores with a load of 10, where processor time is about twice that of an idle machine: 100,000 runs of
5,000 settings in 10.5 s and 8 s more to show them, 0.12 GiB; 20,000 of as many settings in 7.7 s and 3.4 s, 0.16 GiB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records.compaction import compact
from harness.records.store import Store
from tests.harness.synthetic import make_record

ROOT = Path(__file__).parents[2]
SUITE = """\
protocol: quick
seeds: {seeds}
experiments:
  - tasks: [nbody]
    methods: [egnn, gnn-ga, gnn-fa, gnn-ps, transformer-ga]
    grid: {{settings.lr: {rates}}}
"""
MEASURED = """
import json, resource, sys, time
from pathlib import Path
from harness.suites import plan
from harness.records.store import Store
from harness.suites.loading import load

begin = time.process_time()
plan = plan.plan(load(sys.argv[1], ()), Store(Path(sys.argv[2])))
seconds, begin = time.process_time() - begin, time.process_time()
lines = len(plan.lines())
found = {"seconds": seconds, "shown": time.process_time() - begin, "runs": len(plan.jobs), "lines": lines}
print(json.dumps(found | {"gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def measured(folder: Path, settings: int, seeds: int) -> dict[str, float]:
    """In a process of its own: processor time, since other work on the machine makes a clock tell little."""
    folder.mkdir()
    rates = [round(1e-4 * (1 + place), 7) for place in range(settings // 5)]
    (folder / "many.yaml").write_text(SUITE.format(seeds=seeds, rates=rates))
    store = Store(folder / "store")
    for seed in range(20):
        store.write(make_record(seed=seed), [])
    compact(store)
    command = [sys.executable, "-c", MEASURED, str(folder / "many.yaml"), str(store.root)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("seeds", [1, 20])
def test_a_plan_grows_no_faster_than_its_runs(tmp_path: Path, seeds: int) -> None:
    """What every process takes at its start makes the small plan look dearer, never cheaper."""
    nothing, few, many = (measured(tmp_path / str(size), size // seeds, seeds) for size in (100, 2_000, 8_000))
    assert (few["runs"], many["runs"]) == (2_000, 8_000)
    for name in ("seconds", "shown"):
        assert many[name] - nothing[name] <= 6 * (few[name] - nothing[name])


@pytest.mark.benchmark
@pytest.mark.parametrize("seeds", [1, 20])
def test_a_launch_of_a_hundred_thousand_runs_is_planned_in_time(
    tmp_path: Path, seeds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(tmp_path / "plan", 100_000 // seeds, seeds)
    with capsys.disabled():
        print(
            f"\na plan of {found['runs']:,} runs in {found['lines']:,} settings: {found['seconds']:.1f} s of processor "
            f"time and {found['shown']:.1f} s to show it, {found['gib']:.2f} GiB"
        )
    assert found["runs"] == 100_000 and found["seconds"] <= 30 and found["gib"] <= 1
