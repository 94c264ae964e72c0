"""Which device a cost is from, in the words of a table."""

from __future__ import annotations

from collections.abc import Iterable

from harness.report.content.comparison_groups import Row

DEVICE = ("device",)
DEVICE_AND_STACK = ("device", "stack")
"""The columns of a cost that have to be the same where two are compared."""


def where(row: Row, apart: Iterable[str] = DEVICE_AND_STACK) -> str:
    """``AMD EPYC, 1 thread, stacks of 4``, as far as ``apart`` names it; a stack of one is none."""
    words = []
    if "device" in apart:
        words.append(row["device"] or "device not recorded")
    if "stack" in apart and (row["stack"] or 1) > 1:
        words.append(f"stacks of {row['stack']}")
    return ", ".join(words)
