"""A search whose metric is to be high, for the tests that need no cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.search.loading import load
from harness.search.model import Search

HIGH: dict[str, Any] = {
    "name": "high",
    "task": "shapes_o3",
    "method": "set_transformer-none",
    "protocol": "quick",
    "settings": {"epochs": 8, "batch_size": 20, "validate_every": 1},
    "base": {"width": 8},
    "task_params": {"points": 8, "train": 20, "validation": 20, "test": 20},
    "space": {"settings.lr": {"uniform": [1e-4, 1.0]}},
    "trials": 4,
    "grace": 2,
    "reduction": 2,
}


@pytest.fixture
def searched(tmp_path: Path, generated_data: Path) -> Any:
    def write(**changes: Any) -> Search:
        path = tmp_path / "high.yaml"
        path.write_text(yaml.safe_dump({**HIGH, **changes}))
        return load(path)

    return write
