"""The training core needs torch and PyG only: a run on a machine that has nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WITHOUT = ("ray", "mlflow", "polars", "pydantic", "scipy", "pandas", "pyarrow", "typer", "rich", "plotly", "yaml")
RUN = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # importing any of them raises ImportError
from harness.registry import resolve
from harness.spec import Resources
from harness.training.execute import execute
from harness.training.results import NullHooks

small = {"epochs": 1, "batch_size": 10, "train_samples": 1, "test_samples": 2, "curve_samples": [1, 2]}
few = {"train": 20, "validation": 10, "test": 10}
for method in ("egnn", "transformer-ps", "mlp-fa"):
    spec = resolve("nbody", method, "quick", 0, task_params=few, settings=small)
    print(execute(spec).metrics["mse"])
"""


def test_a_run_with_torch_and_pyg_alone(generated_data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, ",".join(WITHOUT)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len([float(line) for line in done.stdout.split()]) == 3
