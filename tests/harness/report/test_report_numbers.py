"""Rankings and printed numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.formats import counted, duration, estimate, listed, memory, moment, plain, seconds
from harness.report.ranking import standings

MEANS = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=8)


@given(MEANS, st.sampled_from(["min", "max"]), st.data())
def test_the_best_is_best_and_ties_are_those_within_a_standard_error(
    means: list[float | None], direction: str, data: st.DataObject
) -> None:
    errors = data.draw(st.lists(st.none() | st.floats(0, 1e5), min_size=len(means), max_size=len(means)))
    marks = standings(means, errors, direction)
    known = [mean for mean in means if mean is not None]
    if len(known) < 2:
        assert set(marks) == {""}
        return
    best = (max if direction == "max" else min)(known)
    assert [mark == "best" for mark in marks] == [mean == best for mean in means]
    best_error = min(error or 0 for mean, error in zip(means, errors, strict=True) if mean == best)
    for mean, error, mark in zip(means, errors, marks, strict=True):
        if mean is not None and mean != best:
            assert (mark == "tied") == (abs(mean - best) <= math.hypot(error or 0, best_error))


def test_one_seed_each_gives_no_ties() -> None:
    assert standings([1.0, 1.0001], [None, None], "min") == ["best", ""]


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
        (plain(208_387), "208,387"),
        (plain(0.00711), "0.007110"),
        (moment("2026-03-02T11:00:00+01:00"), "2026-03-02 10:00 UTC"),
        (moment("yesterday"), "yesterday"),
        (listed(list("abc"), 2), "a, b and 1 more"),
        (counted(1, "run"), "1 run"),
        (counted(3, "run"), "3 runs"),
    ],
)
def test_formats(shown: str, expected: str) -> None:
    assert shown == expected
