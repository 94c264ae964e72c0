"""Prints what the experiments of protocol ``paper`` need of a device's memory: the table of docs/gpu.md.

``pytest -m benchmark -s tests/benchmarks/test_memory_budget.py``
"""

from __future__ import annotations

import pytest

from tests.memory_budget import HEAD, experiments, table

pytestmark = pytest.mark.benchmark


def test_prints_the_table() -> None:
    found = table(experiments())
    print("", HEAD, *found, sep="\n")
    assert found
