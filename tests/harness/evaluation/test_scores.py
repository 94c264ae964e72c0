"""The statistics of an evaluation are those of the tables."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.evaluation.scores import Evaluation
from harness.evaluation.tables import results
from harness.records.store import Store
from tests.harness.synthetic import make_record, write


@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_statistics_are_those_of_the_table_accuracy(count: int, tmp_path: Path) -> None:
    found = Evaluation([make_record(seed=seed, value=math.sin(7 * seed)) for seed in range(count)])
    write(Store(tmp_path).root, *found.records)
    table = results(tmp_path).accuracy
    assert found.mean == pytest.approx(table["mean"].item(), rel=1e-12)
    assert found.interquartile_mean == table["iqm"].item()
    assert found.interval == (None if count < 5 else (table["iqm_low"].item(), table["iqm_high"].item()))


def test_scores_that_are_not_finite_do_not_count() -> None:
    found = Evaluation([make_record(seed=seed, value=value) for seed, value in enumerate((1.0, math.nan, 2.0))])
    assert found.scores.tolist() == [1.0, 2.0] and found.mean == 1.5
