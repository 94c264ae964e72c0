"""Positions in the small figures of the page."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from harness.report.rendering.small_figures import Scale, panel, strip_scale
from harness.report.rendering.styles import method_style

VALUES = st.floats(1e-6, 1e6)


@given(st.lists(VALUES, min_size=1), VALUES, st.booleans(), st.booleans())
def test_positions_are_inside_and_follow_the_order(
    values: list[float], outside: float, log: bool, falling: bool
) -> None:
    scale = strip_scale(min(values), max(values), log=log, falling=falling)
    found = [scale.at(value) for value in sorted(values)]
    assert found == sorted(found, reverse=falling)
    assert all(0 < x < 100 for x in (*found, scale.at(outside), scale.at(math.inf)))


def test_equal_ratios_are_equal_distances_on_a_logarithmic_scale() -> None:
    scale = Scale(low=1, high=1000, start=0, end=30, log=True)
    assert [scale.at(value) for value in (1, 10, 100, 1000)] == [0, 10, 20, 30]
    assert scale.decades() == [1, 10, 100, 1000]


def test_a_power_law_is_a_straight_line_that_rises() -> None:
    found = panel("x", [(method_style("ga", "mlp"), [(n, n**2.0) for n in (1.0, 10.0, 100.0)])], {}, {})
    (x0, y0), (x1, y1), (x2, y2) = found.lines[0].points
    assert abs((x0 + x2) / 2 - x1) <= 0.1 and abs((y0 + y2) / 2 - y1) <= 0.1
    assert y0 > y1 > y2


def test_labels_without_space_are_left_out_and_the_last_is_kept() -> None:
    sizes = [1.0, 99.0, 100.0]
    curve = [(n, n) for n in sizes]
    found = panel("x", [(method_style("ga", "mlp"), curve)], {n: f"{n:g}" for n in sizes}, {1.0: "1", 1e9: "no"})
    assert [tick.text for tick in found.x_ticks] == ["1", "100"]
    assert [tick.text for tick in found.y_ticks] == ["1"]
