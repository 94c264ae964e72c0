"""The tables of a few records."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from harness.collate import Tables, collate
from harness.records.record import Record
from harness.records.store import Store
from harness.training.results import Stage, VariancePoint
from tests.harness.synthetic import write


def collated(*records: Record) -> Tables:
    root = Path(tempfile.mkdtemp())
    try:
        write(root / "store", *records)
        return collate(Store(root / "store"))
    finally:
        shutil.rmtree(root)


def variance_points(value: float, *, loss: float = 0.5) -> tuple[VariancePoint, ...]:
    stages: tuple[Stage, ...] = ("initialised", "trained")
    return tuple(
        VariancePoint(
            stage=stage, samples=k, repeats=100, output_variance=value / k, loss_mean=loss, loss_variance=3 * value / k
        )
        for stage in stages
        for k in (1, 10)
    )
