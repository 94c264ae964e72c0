"""Texts as sentences show them, and what tells settings apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.differences import changes, describe, differing
from harness.utils.text import duration, first_line, nearest, shortened


@given(st.text(), st.integers(4, 50))
def test_a_text_that_is_cut_is_one_line_as_long_as_it_may_be_and_says_so(text: str, most: int) -> None:
    line, whole = shortened(text, most), shortened(text, 10**6)
    assert len(line) <= most and "\n" not in line and line == line.strip()
    assert line == whole if len(whole) <= most else line == f"{whole[: most - 3]}..."
    line.encode("utf-8")


def test_half_a_character_is_shown_as_a_question_mark() -> None:
    assert shortened("a\ud800b") == "a?b"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one  \ntwo"), "one  "),
        (ValueError(""), "ValueError"),
        (KeyError(), "KeyError"),
    ],
)
def test_an_error_is_told_by_its_first_line_or_its_kind(error: Exception, shown: str) -> None:
    assert first_line(error) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (4.2, "4 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (187, "3 min 07 s"),
        (3599.6, "1 h 00 min"),
        (3599.7, "1 h 00 min"),
        (7380, "2 h 03 min"),
        (7500, "2 h 05 min"),
        (3.6e6, "1,000 h 00 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_only_durations_below_ten_seconds_have_tenths() -> None:
    shown = [duration(seconds, tenths=True) for seconds in (0, 4.25, 12.3, 187)]
    assert shown == ["0.0 s", "4.2 s", "12 s", "3 min 07 s"]


def test_a_close_name_is_suggested_and_otherwise_all_are_listed() -> None:
    assert nearest("EGN", ["egnn", "mlp-ps"]) == "did you mean 'egnn'?"
    assert nearest("xyz", ["egnn", "mlp-ps"]) == "known: egnn, mlp-ps"


def test_what_is_absent_is_another_thing_than_nothing() -> None:
    assert differing([{"a": None, "b": 1}, {"b": 1}]) == ["a"]
    assert changes({"a": None, "seed": 1}, {"seed": 2}) == "there a=absent"
    assert changes({"lr": 0.5, "seed": 1}, {"lr": 0.1, "seed": 2}) == "there lr=0.1"
    assert differing([{"a": 1}]) == [] and changes({"a": 1}, {"a": 1}) == ""


def test_names_that_end_alike_are_written_out() -> None:
    assert describe({"base.width": 64, "sampler.width": 8, "settings.lr": 0.1}) == (
        "base.width=64, sampler.width=8, lr=0.1"
    )
