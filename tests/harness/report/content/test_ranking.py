"""The marks of rows, and how a shared place is written."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.collate.standings import Standings, standings
from harness.report.content.ranking import RULE, place_text, significance_marks

NAN = float("nan")


def shown(values: list[float], apart: list[tuple[int, int]] | None, places: list[int | None]) -> list[str]:
    matrix = np.zeros((len(values), len(values)), dtype=bool)
    for one, other in apart or []:
        matrix[one, other] = matrix[other, one] = True
    return [*significance_marks(Standings(places, matrix, tested=apart is not None), np.array(values))]


def test_the_best_is_bold_and_what_does_not_differ_significantly_is_marked() -> None:
    assert shown([1.0, 3.0, 2.0], [(1, 0)], [1, 1, 1]) == ["", "best", "tied"]
    assert shown([1.0, 3.0, 2.0], [(1, 0), (1, 2), (0, 2)], [3, 1, 2]) == ["", "best", ""]
    assert shown([3.0, 3.0, 2.0], [], [1, 1, 1]) == ["best", "best", "tied"]
    assert shown([-3.0, -1.0], [], [1, 1]) == ["tied", "best"]


def test_without_enough_seeds_the_best_is_bold_and_the_others_have_no_mark() -> None:
    assert shown([1.0, 3.0, 2.0], None, [1, 1, 1]) == ["", "best", ""]


def test_rows_without_a_place_and_rows_that_are_alone_have_no_mark() -> None:
    assert shown([9.0, 3.0, 2.0, NAN], [], [None, 1, 1, None]) == ["", "best", "tied", ""]
    assert shown([9.0, NAN], None, [1, None]) == ["", ""]
    assert shown([NAN, NAN], None, [None, None]) == ["", ""]
    assert significance_marks(standings([np.empty((0, 0))], np.empty(0)), np.empty(0)) == []


@given(st.lists(st.none() | st.integers(1, 3), min_size=1))
def test_a_place_that_is_shared_says_so(places: list[int | None]) -> None:
    for place in filter(None, places):
        assert place_text(place, places) == (
            f"{place}=" if len([one for one in places if one == place]) > 1 else f"{place}"
        )


def test_the_rule_names_the_seeds_that_it_needs() -> None:
    assert "fewer than 5 seeds" in RULE and "95 %" in RULE
