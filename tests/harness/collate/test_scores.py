"""By what a run is ranked: its metric, or the stricter one of the same unit where its mean is worse."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.collate.statistics import BENCHMARK, own_score, score, score_metric

TYPES = (pl.String, pl.String, pl.Float64, pl.Float64)


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
    frame = runs(("a", control_name, value, control), direction=direction)
    assert frame.select(score())["score"].to_list() == [expected]
    assert frame.select(own_score())["score"].to_list() == [expected]


def runs(*rows: tuple[str, str | None, float | None, float | None], direction: str = "min") -> pl.DataFrame:
    """Runs of one benchmark: setting, name of the control, value and control."""
    names = ("setting", "control_name", "value", "control")
    frame = pl.DataFrame(rows, schema=dict(zip(names, TYPES, strict=True)), orient="row")
    same = {name: pl.lit(None, pl.String) for name in (*BENCHMARK, "source")}
    return frame.with_columns(**same | {"metric": pl.lit("m"), "direction": pl.lit(direction)})


@pytest.mark.parametrize(("direction", "sign"), [("min", 1.0), ("max", -1.0)])
def test_the_means_of_a_setting_decide_and_not_each_seed(direction: str, sign: float) -> None:
    """Seed by seed the worse values of a are 3 and 4.5, the first of the metric and the second of the stricter one."""
    rows = [("a", 3, 1), ("a", 2, 4.5), ("b", 2, 1), ("b", 5, 4)]
    frame = runs(*((name, "m_sound", sign * v, sign * c) for name, v, c in rows), direction=direction)
    found = frame.select(score(), score_metric())
    assert [sign * value for value in found["score"]] == [1, 4.5, 2, 5]
    assert found["score_metric"].to_list() == ["m_sound", "m_sound", "m", "m"]


def test_a_setting_without_the_stricter_metric_has_no_score_beside_one_that_has_it() -> None:
    alone = runs(("old", "m_sound", 0.0, None), ("other", "unreliable", 0.0, 3.0))
    assert alone.select(score())["score"].to_list() == [0.0, 0.0]
    beside = runs(("old", "m_sound", 0.0, None), ("new", "m_sound", 0.0, 40.0))
    assert beside.select(score())["score"].to_list() == [None, 40.0]
    assert beside.select(own_score())["score"].to_list() == [0.0, 40.0]


VALUES = st.floats(-1e3, 1e3)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6), st.sampled_from(["min", "max"]))
def test_the_mean_score_is_the_worse_of_the_two_means(pairs: list[tuple[float, float]], direction: str) -> None:
    frame = runs(*(("a", "m_transformed", value, control) for value, control in pairs), direction=direction)
    worse = max if direction == "min" else min
    expected = worse(frame["value"].mean(), frame["control"].mean())  # type: ignore[type-var]
    assert frame.select(score())["score"].mean() == pytest.approx(expected, abs=1e-9)
