"""The comparison of two methods, as a table, in sentences and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from harness.collate.bootstrap import Interval
from harness.collate.comparison import Comparison, over_tasks
from harness.collate.significance import LEAST_SEEDS
from harness.report.rendering.formats import between, counted, plain


def table(found: Sequence[Comparison], first: str, second: str) -> tuple[list[str], list[list[str]]]:
    """The titles of the columns, and one row for each comparison."""
    titles = ["task", "protocol", "settings", "metric", first, second, "advantage", f"P({first} better)", "seeds"]
    return titles, [_row(one) for one in found]


def _row(one: Comparison) -> list[str]:
    labels = dict.fromkeys(label or "as they are" for label in one.settings)
    return [
        one.task,
        one.protocol,
        " against ".join(labels) if any(one.settings) else "-",
        one.metric,
        plain(one.first),
        plain(one.second),
        shown(one.advantage),
        shown(one.improvement),
        str(one.seeds),
    ]


def shown(interval: Interval) -> str:
    """The estimate and, if it is known, its interval."""
    if math.isnan(interval.low):
        return plain(interval.value)
    return between(*interval)


def sentences(found: Sequence[Comparison], first: str, second: str) -> list[str]:
    """What all comparisons say together, and whether there are enough seeds for it."""
    said = []
    if len(found) > 1:
        said.append(f"Over these {len(found)} rows {first} beats {second} with probability {shown(over_tasks(found))}.")
    fewest = min(one.seeds for one in found)
    if fewest < LEAST_SEEDS:
        said.append(
            f"Some rows have only {counted(fewest, 'seed')} in common. Intervals from fewer than {LEAST_SEEDS} seeds "
            f"are too narrow, and one seed gives no interval: use {counted(LEAST_SEEDS, 'seed')} or more."
        )
    return said


def as_values(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The comparisons as values for JSON."""
    return [
        {
            field.name: _value(getattr(one, field.name))
            for field in fields(one)
            if field.name not in ("digests", "differences")
        }
        for one in found
    ]


def _value(value: Any) -> Any:
    if isinstance(value, Interval):
        return {name: None if math.isnan(end) else end for name, end in value._asdict().items()}
    return value
