"""What a page leaves out so that it opens anywhere: long tables are cut, and figures beyond a size are not drawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from harness.report.rendering.cells import Table
from harness.report.rendering.figures import FigureGroup

T = TypeVar("T", Table, FigureGroup)

MOST_CELLS = 18_000
"""Of all tables together; a cell takes about 100 bytes."""
MOST_FIGURE_BYTES = 1_500_000


def trimmed(contents: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of a page with tables of at most so many rows that all fit, and the first figures that do.

    What is cut says so in its place. Tables that are short stay whole.
    """
    most = _most_rows([(len(table.rows), len(table.columns)) for table in _found(contents, Table)])
    room = MOST_FIGURE_BYTES

    def drawn(group: FigureGroup) -> FigureGroup:
        nonlocal room
        room -= sum(len(json.dumps(figure.spec, default=list)) for figure in group.figures)
        if room >= 0:
            return group
        left_out = "Not drawn, since the page would be too large: the tables hold the numbers."
        return replace(group, figures=(), legend=(), choice="", remarks=(*group.remarks, left_out))

    kept = _changed(dict(contents), FigureGroup, drawn)
    return _changed(kept, Table, lambda table: _cut(table, most))


def _cut(table: Table, most: int) -> Table:
    if len(table.rows) <= most:
        return table
    remark = f"The first {most:,} of {len(table.rows):,} rows: the files in tables/ have all."
    return replace(table, rows=table.rows[:most], remark=remark)


def _most_rows(sizes: list[tuple[int, int]]) -> int:
    """The largest number of rows, at least one, up to which all tables (rows, columns) have few enough cells."""
    low, high = 1, max((rows for rows, _ in sizes), default=1)
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(min(rows, middle) * columns for rows, columns in sizes) <= MOST_CELLS
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _found(value: Any, kind: type[T]) -> Iterator[T]:
    if isinstance(value, kind):
        yield value
    else:
        for inner in _parts(value).values():
            yield from _found(inner, kind)


def _changed(value: Any, kind: type[T], change: Callable[[T], T]) -> Any:
    """``value`` with everything of a kind inside it changed, in the order of the page."""
    if isinstance(value, kind):
        return change(value)
    parts = {key: _changed(inner, kind, change) for key, inner in _parts(value).items()}
    if not parts:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **parts)
    return parts if isinstance(value, dict) else type(value)(parts.values())


def _parts(value: Any) -> Mapping[Any, Any]:
    """What is inside a piece of contents; tables and figures have no pieces."""
    if isinstance(value, Table | FigureGroup):
        return {}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        return value
    return dict(enumerate(value)) if isinstance(value, list | tuple) else {}
