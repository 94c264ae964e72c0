"""Limits on the size of a page, so that every browser can open it: long tables are cut and some figures left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from harness.report.rendering.cells import Table
from harness.report.rendering.figures import FigureGroup

T = TypeVar("T", Table, FigureGroup)

MAX_CELLS = 36_000
"""The limit for all tables together; a cell takes about 150 bytes, and a page should stay below 15 MB."""
MAX_FIGURE_BYTES = 1_500_000


def limit_size(contents: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of a page without what is beyond the limits.

    All tables are cut to the same number of rows, so short tables stay complete. Figures are kept in the order of the
    page as long as they fit. A table that is cut and a group whose figures are left out say so.
    """
    most = _max_rows([(len(table.rows), len(table.columns)) for table in _find(contents, Table)])
    room = MAX_FIGURE_BYTES

    def within_limit(group: FigureGroup) -> FigureGroup:
        nonlocal room
        room -= sum(len(json.dumps(figure.spec, default=list)) for figure in group.figures)
        if room >= 0:
            return group
        left_out = "The figures are left out, since the page would be too large. The tables contain the numbers."
        return replace(group, figures=(), legend=(), choice="", remarks=(*group.remarks, left_out))

    kept = _replaced(dict(contents), FigureGroup, within_limit)
    return _replaced(kept, Table, lambda table: _cut(table, most))


def _cut(table: Table, most: int) -> Table:
    if len(table.rows) <= most:
        return table
    remark = f"The first {most:,} of {len(table.rows):,} rows are shown. The files in tables/ have all of them."
    return replace(table, rows=table.rows[:most], remark=remark)


def _max_rows(sizes: list[tuple[int, int]]) -> int:
    """The largest number of rows a table (at least one) with which all tables together have few enough cells.

    Args:
        sizes: The number of rows and of columns of each table.
    """
    low, high = 1, max((rows for rows, _ in sizes), default=1)
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(min(rows, middle) * columns for rows, columns in sizes) <= MAX_CELLS
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _find(value: Any, kind: type[T]) -> Iterator[T]:
    """Everything of a kind inside ``value``, in the order of the page."""
    if isinstance(value, kind):
        yield value
    else:
        for inner in _parts(value).values():
            yield from _find(inner, kind)


def _replaced(value: Any, kind: type[T], change: Callable[[T], T]) -> Any:
    """``value`` with ``change`` applied to everything of a kind inside it, in the order of the page."""
    if isinstance(value, kind):
        return change(value)
    parts = {key: _replaced(inner, kind, change) for key, inner in _parts(value).items()}
    if not parts:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **parts)
    return parts if isinstance(value, dict) else type(value)(parts.values())


def _parts(value: Any) -> Mapping[Any, Any]:
    """The parts of a value by name or index. Tables, groups of figures and plain values have none."""
    if isinstance(value, Table | FigureGroup):
        return {}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        return value
    return dict(enumerate(value)) if isinstance(value, list | tuple) else {}
