"""Every name gets one file name that all file systems accept, and no two names share one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.site.names import page_name

HOSTILE = (
    "../../x",
    "CON",
    "con",
    "a/b",
    "a\\b",
    "",
    ".",
    "..",
    "a b",
    "é",
    "x" * 300,
    "X" * 300,
    "GNN",
    "a--b",
    "\ud800",
)


@pytest.mark.parametrize("name", ["egnn", "mlp-ga", "gin_id-ps", "x" * 60])
def test_plain_names_stay(name: str) -> None:
    assert page_name(name) == f"{name}.html"


def test_names_that_differ_in_case_only_have_files_that_differ() -> None:
    files = [page_name(name).lower() for name in (*HOSTILE, "gnn")]
    assert len(set(files)) == len(files)


@given(st.text() | st.sampled_from(HOSTILE))
def test_file_names_are_safe_everywhere(name: str) -> None:
    stem = page_name(name).removesuffix(".html")
    assert re.fullmatch(r"[a-z0-9]+([_-]+[a-z0-9]+)*", stem) and len(stem) <= 60
    assert stem not in ("con", "prn", "aux", "nul", "com1", "lpt9")


@given(st.text(max_size=4), st.text(max_size=4))
def test_no_two_names_share_a_file(one: str, other: str) -> None:
    assert (page_name(one) == page_name(other)) == (one == other)
    assert page_name(page_name(one).removesuffix(".html")) != page_name(one) or "--" not in page_name(one)
