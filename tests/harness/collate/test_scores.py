"""By what a run is ranked: its metric, or the stricter one of the same unit where that is worse."""

from __future__ import annotations

import polars as pl
import pytest

from harness.collate.statistics import score


@pytest.mark.parametrize(
    ("direction", "control_name", "value", "control", "expected"),
    [
        ("max", "m_transformed", 0.9, 0.5, 0.5),
        ("max", "m_transformed", 0.5, 0.9, 0.5),
        ("min", "m_transformed", 0.9, 0.5, 0.9),
        ("min", "m_sound", 0.5, 0.9, 0.9),
        ("max", "unreliable", 0.9, 0.5, 0.9),  # of another unit: how many pairs a test could not judge
        ("min", "unreliable", 0.9, 5.0, 0.9),
        ("max", "other_transformed", 0.9, 0.5, 0.9),
        ("max", None, 0.9, None, 0.9),
        ("max", "m_transformed", 0.9, None, 0.9),
        ("max", "m_transformed", None, 0.5, None),
        ("min", "m_transformed", None, 0.5, None),
        ("max", None, None, None, None),
    ],
)
def test_a_score_is_the_worse_of_two_of_one_unit(
    direction: str, control_name: str | None, value: float | None, control: float | None, expected: float | None
) -> None:
    schema = {"metric": pl.String, "direction": pl.String, "control_name": pl.String}
    row = {"metric": "m", "direction": direction, "control_name": control_name, "value": value, "control": control}
    frame = pl.DataFrame([row], schema={**schema, "value": pl.Float64, "control": pl.Float64})
    assert frame.select(score())["score"].to_list() == [expected]
