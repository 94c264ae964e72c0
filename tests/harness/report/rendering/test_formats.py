"""Printed numbers."""

from __future__ import annotations

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.content.curve_tables import interval_cell, needed_cell
from harness.report.content.curves import is_flat
from harness.report.rendering.cells import number
from harness.report.rendering.figures import Axis, Line, Series, figure, needs_log_axis
from harness.report.rendering.formats import (
    counted,
    duration,
    estimate,
    listed,
    memory,
    moment,
    operations,
    plain,
    seconds,
)
from harness.report.rendering.styles import method_style


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e5))
def test_a_printed_estimate_is_the_number_up_to_its_digits(mean: float, stderr: float) -> None:
    shown, error = (float(part.replace(",", "")) for part in estimate(mean, stderr).split(" ± "))
    assert abs(shown - mean) <= max(0.1 * stderr, 1e-4 * abs(mean), 0.51 if abs(mean) > 1e4 or stderr >= 10 else 0)
    assert error == pytest.approx(stderr, rel=0.5) or abs(error - stderr) <= max(1e-4 * abs(mean), 0.51)
    assert error > 0


@pytest.mark.parametrize(
    ("mean", "stderr", "shown"),
    [
        (0.03123, 0.0021, "0.0312 ± 0.0021"),
        (1234.5, 23.2, "1,234 ± 23"),
        (0.0071, None, "0.007100"),
        (0.5, 0.0, "0.5000 ± 0"),
        (0.02472941, 5.1e-6, "0.024729 ± 0.000005"),
        (0.0247, 5e-9, "0.024700 ± 5e-09"),
        (3.2e-6, 1e-7, "3.20e-06 ± 1.0e-07"),
        (None, None, ""),
        (0.0, 0.0, "0 ± 0"),
        (12_345_678.0, None, "12,345,678"),
    ],
)
def test_estimates(mean: float | None, stderr: float | None, shown: str) -> None:
    assert estimate(mean, stderr) == shown


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (seconds(3.5e-5), "35.0 µs"),
        (seconds(0.00123), "1.23 ms"),
        (seconds(0.0), "0 s"),
        (seconds(None), ""),
        (memory(3 * 2**20), "3.00 MiB"),
        (memory(512), "512 B"),
        (duration(42.4), "42 s"),
        (duration(200), "3 min 20 s"),
        (duration(7500), "2 h 05 min"),
        (operations(999.0), "999"),
        (operations(1.5e3), "1.50 k"),
        (operations(1.5e6), "1.50 M"),
        (operations(1.5e9), "1.50 G"),
        (operations(1.5e12), "1.50 T"),
        (operations(1.5e15), "1.50 P"),
        (plain(208_387), "208,387"),
        (plain(0.00711), "0.007110"),
        (moment(datetime.fromisoformat("2026-03-02T11:00:00+01:00")), "2026-03-02 10:00 UTC"),
        (listed(list("abc"), 2), "a, b and 1 more"),
        (counted(1, "run"), "1 run"),
        (counted(3, "run"), "3 runs"),
    ],
)
def test_formats(shown: str, expected: str) -> None:
    assert shown == expected


def test_nothing_is_missing_and_zero_is_a_number() -> None:
    assert number(0.0, "0", why_missing="none").text == "0" and number(0.0, "0", why_missing="none").sort == 0.0
    assert number(None, "", why_missing="none").mark == "missing"


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1.0, 30.0], False),
        ([1.0, 30.1], True),
        ([0.0, 100.0], False),
        ([-1.0, 100.0], False),
        ([None, 1.0, 31.0], True),
        ([None], False),
    ],
)
def test_an_axis_is_logarithmic_where_values_span_more_than_a_factor_of_thirty(
    values: list[float | None], log: bool
) -> None:
    assert needs_log_axis(values) == log


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (-1.02, -1.25, -0.98, "-1.02 [-1.25, -0.98]"),
        (-0.001, -0.004, 0.004, "0.00 [0.00, 0.00]"),
        (2.0, None, None, "2.00"),
    ],
)
def test_an_interval_begins_with_its_lower_end_and_there_is_no_negative_zero(
    value: float, low: float | None, high: float | None, shown: str
) -> None:
    row = {"a": value, "a_low": low, "a_high": high}
    assert interval_cell(row, "a", "none").text == shown and interval_cell(row, "a", "none").sort == value


@pytest.mark.parametrize(
    ("needed", "low", "high", "shown"),
    [
        (100.0, 50.0, math.inf, "100 [50, > 500]"),
        (math.inf, 200.0, math.inf, "> 500 [200, > 500]"),
        (2000.0, None, None, "2,000"),
    ],
)
def test_samples_that_were_not_enough_sort_behind_all_others(
    needed: float, low: float | None, high: float | None, shown: str
) -> None:
    row = {"samples_needed": needed, "samples_needed_low": low, "samples_needed_high": high, "samples_most": 500}
    cell = needed_cell({**row, "samples": 1})
    assert cell.text == shown and math.isfinite(float(cell.sort or 0)) and float(cell.sort or 0) >= min(needed, 1e6)


def test_one_point_is_no_flat_curve() -> None:
    point = {"mean": 0.5, "variance": 0.0}
    assert not is_flat([point]) and is_flat([point, point]) and not is_flat([point, {**point, "variance": 1.0}])


def test_a_band_is_one_error_to_either_side_and_is_cut_where_a_logarithm_ends() -> None:
    """Curves are drawn over bands."""
    series = Series(id="s", name="s", style=method_style(None, "egnn"))
    line = Line(series=series, x=[1, 2, 3], y=[1.0, 2.0, 0.5], stderr=[0.25, 0.5, 0.5])
    for log, lowest in ((False, 0.0), (True, 0.5 / 3)):
        band, curve = figure("t", [line], Axis(title="x"), Axis(title="y", log=log)).spec["data"]
        assert band["x"] == [1, 2, 3, 3, 2, 1]
        assert band["y"] == pytest.approx([1.25, 2.5, 1.0, lowest, 1.5, 0.75])
        assert band["meta"]["band"] and curve["y"] == [1.0, 2.0, 0.5]
