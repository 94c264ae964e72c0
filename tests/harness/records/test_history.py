"""Bounded histories, and what they keep."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records.history import History


def test_short_histories_are_kept_whole_and_in_order() -> None:
    history = History(limit=100)
    for step in range(20):
        history.log(step, {"loss": 1 / (step + 1), "lr": 0.1})
    assert [(row.step, row.name, row.value) for row in history.rows] == [
        (step, name, value) for step in range(20) for name, value in (("loss", 1 / (step + 1)), ("lr", 0.1))
    ]
    seconds = [row.seconds for row in history.rows]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 0


@given(steps=st.integers(1, 400), limit=st.integers(4, 50), names=st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_long_histories_are_thinned_evenly_and_keep_both_ends(steps: int, limit: int, names: int) -> None:
    history = History(limit)
    for step in range(steps):
        history.log(step, {f"m{index}": float(step) for index in range(names)})
    assert len(history.rows) <= limit + names
    for index in range(names):
        kept = [row.step for row in history.rows if row.name == f"m{index}"]
        assert kept[0] == 0
        assert kept[-1] == steps - 1
        gaps = {after - before for before, after in pairwise(kept[:-1])}
        assert len(gaps) <= 1


def test_a_rare_metric_is_not_thinned_for_the_sake_of_a_frequent_one() -> None:
    history = History(limit=40)
    for step in range(1000):
        history.log(step, {"loss": 0.0} | ({"valid": 1.0} if step % 100 == 0 else {}))
    assert [row.step for row in history.rows if row.name == "valid"] == list(range(0, 1000, 100))
