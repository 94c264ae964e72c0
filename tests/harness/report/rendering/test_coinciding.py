"""What a figure hides is said by name: curves that lie on one another, and zeros on a logarithmic axis."""

from __future__ import annotations

import math
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from harness.report.rendering.coinciding import WITHIN, Curve, Point, coinciding, hidden

heights = st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3)


def curve(name: str, ys: list[float] | list[float | None], *, censored: bool = False) -> Curve:
    return Curve(name, [Point(x, y, censored) for x, y in enumerate(ys, start=1)])


@given(st.lists(heights, min_size=1, max_size=6), st.booleans(), st.floats(-1.0, 1.0))
def test_a_curve_that_moves_less_than_a_line_is_wide_coincides_and_a_far_one_does_not(
    ys: list[list[float]], log: bool, share: float
) -> None:
    every = [math.log10(y) if log else y for one in ys for y in one]
    shift = 0.9 * WITHIN * share * (max(every) - min(every))
    moved = [10 ** (math.log10(y) + shift) if log else y + shift for y in ys[0]]
    curves = [curve(str(n), one) for n, one in enumerate(ys)]
    groups = coinciding([*curves, curve("moved", moved)], log=log)
    assert any({"0", "moved"} <= {*names} for names in groups)
    assert all(len(names) > 1 for names in groups)
    named = [name for names in groups for name in names]
    assert len(named) == len({*named})
    of = {**{str(n): one for n, one in enumerate(ys)}, "moved": moved}
    span = WITHIN * 1.02 * (max(every) - min(every)) + 1e-8 * max(map(abs, every))
    for names in groups:
        for a, b in combinations(names, 2):
            pairs = zip(of[a], of[b], strict=True)
            gaps = (abs(math.log10(y) - math.log10(z)) if log else abs(y - z) for y, z in pairs)
            assert max(gaps) <= 2 * span


def test_curves_of_other_points_or_beyond_the_largest_k_are_not_the_same() -> None:
    short = Curve("short", [Point(1, 2.0), Point(2, 3.0)])
    censored = curve("censored", [2.0, 3.0, 3.0], censored=True)
    assert coinciding([curve("a", [2.0, 3.0, 3.0]), short, censored], log=False) == []
    assert coinciding([censored, censored._replace(name="other")], log=True) == [["censored", "other"]]


def test_what_is_said() -> None:
    known = [curve(name, [1.0, 1.0, 1.0]) for name in ("a", "b", "c")]
    far = curve("far", [5.0, 6.0, 7.0])
    assert list(hidden([*known, far], log=False)) == ["a, b and c coincide."]
    assert list(hidden([known[0], far], log=False)) == []
    zero, some = curve("exact", [0.0, 0.0, 0.0]), curve("some", [1.0, 0.5, 0.0])
    assert list(hidden([far, zero, some], log=True)) == [
        "Zero, which a logarithmic axis cannot show: exact.",
        "Not drawn where the value is zero: some.",
    ]
    assert list(hidden([far, curve("unknown", [None, None, None])], log=True)) == []
    many = [curve(f"m{n}", [1.0]) for n in range(20)]
    assert next(hidden(many, log=False)).endswith("m11 and 8 more coincide.")
