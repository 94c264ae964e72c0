"""The names of the devices on which costs were measured."""

from __future__ import annotations

from collections.abc import Iterable

from harness.report.content.comparison_groups import Row

DEVICE = ("device",)
DEVICE_AND_STACK = ("device", "stack")
"""The columns that must be equal if two costs are compared."""


def device_text(row: Row, columns: Iterable[str] = DEVICE_AND_STACK) -> str:
    """The device of a row, and the size of its stack if more than one seed was trained at once.

    For example ``AMD EPYC, 1 thread, stacks of 4``. Only what is in ``columns`` is named.
    """
    words = []
    if "device" in columns:
        words.append(row["device"] or "device not recorded")
    if "stack" in columns and (row["stack"] or 1) > 1:
        words.append(f"stacks of {row['stack']}")
    return ", ".join(words)
