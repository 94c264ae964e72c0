"""Heat maps: numbers by two variables, each written in its cell. The page sets the colours, as for curves."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.report.rendering.figures import Axis, Figure, Trace, figure_of_traces, needs_log_axis, scatter
from harness.report.rendering.formats import estimate

HEAT_MAP = "heatmap"
MISSING = "missing"
WHOLE_ROW = "whole_row"
"""In the ``meta`` of the trace with the words of empty cells: that it is one, and which words are of a whole row."""


class Estimate(NamedTuple):
    """A number and its standard error over seeds, which is None if it is not known."""

    value: float
    stderr: float | None = None


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Numbers by two variables.

    Attributes:
        rows: The values of the variable of the rows, from top to bottom.
        columns: The values of the variable of the columns.
        cells: The numbers by row and column; a cell that is missing here is empty.
        missing: The word in an empty cell.
    """

    rows: Sequence[int]
    columns: Sequence[int]
    cells: Mapping[tuple[int, int], Estimate]
    missing: str = "not run"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The numbers of the faintest and of the strongest colour; maps with a common scale can be compared."""

    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        """Where a number is on the scale, which starts with the smallest positive number if it is logarithmic."""
        if not self.log:
            return value
        return math.log10(max(value, self.low))

    def written(self, value: float) -> str:
        """A number in at most six letters: two digits on a logarithmic scale, else the places of the largest number."""
        if not self.log:
            size = max(abs(self.low), abs(self.high))
            return f"{value:.{max(0, 3 - math.ceil(math.log10(size))) if size else 0}f}"
        if value == 0:
            return "0"
        if 1e-3 <= abs(value) < 1e3:
            return f"{value:#.2g}".rstrip(".") if abs(value) < 99.5 else f"{value:.0f}"
        digits, power = f"{value:.1e}".split("e")
        return f"{digits}e{int(power)}"


def common_scale(maps: Sequence[Numbers]) -> Scale:
    """The scale of all numbers of some maps, logarithmic if they are positive and differ much."""
    values = [cell.value for one in maps for cell in one.cells.values()] or [0.0]
    positive = [value for value in values if value > 0]
    log = min(values) >= 0 and needs_log_axis(positive)
    return Scale(low=min(positive if log else values), high=max(values), log=log)


def heat_map(title: str, numbers: Numbers, titles: tuple[str, str], scale: Scale, *, caption: str = "") -> Figure:
    """A heat map with its numbers.

    Args:
        title: The title of the figure.
        numbers: The numbers.
        titles: What the rows are by, and what the columns are by.
        scale: The scale of the colours.
        caption: Sentences below the figure.
    """
    words = _words(numbers)
    traces = [_map(numbers, titles, scale), *([words] if words["x"] else [])]
    x, y = (
        Axis(title=of, ticks=range(len(values)), labels=[str(value) for value in values])
        for of, values in ((titles[1], numbers.columns), (titles[0], numbers.rows))
    )
    drawn = figure_of_traces(title, traces, x, y)
    layout = drawn.spec["layout"]
    own = {"showgrid": False, "fixedrange": True, "ticks": ""}
    axes = {"xaxis": {**layout["xaxis"], **own}, "yaxis": {**layout["yaxis"], **own, "autorange": "reversed"}}
    margin = {"l": 44, "r": 6, "t": 8, "b": 44}
    spec = {"data": traces, "layout": {**layout, **axes, "margin": margin, "dragmode": False}}
    return Figure(title=title, spec=spec, caption=caption, rows=len(numbers.rows))


def points(trace: Trace) -> Iterator[tuple[str, int, float | None, float | None, float | None]]:
    """The numbers of a heat map: what the row is, the column, the number, and it minus and plus one standard error."""
    meta = trace["meta"]
    for row, values, errors in zip(meta["rows"], meta["values"], meta["stderr"], strict=True):
        for column, value, error in zip(meta["columns"], values, errors, strict=True):
            has_ends = value is not None and error is not None
            low, high = (value - error, value + error) if has_ends else (None, None)
            yield f"{meta['of_rows']} = {row}", column, value, low, high


def _map(numbers: Numbers, titles: tuple[str, str], scale: Scale) -> Trace:
    cells = [[numbers.cells.get((row, column)) for column in numbers.columns] for row in numbers.rows]
    of_rows, of_columns = (html.escape(one, quote=False) for one in titles)
    hover = [
        [
            f"{of_rows} = {row}<br>{of_columns} = {column}<br><b>{estimate(*cell) if cell else numbers.missing}</b>"
            for column, cell in zip(numbers.columns, of_row, strict=True)
        ]
        for row, of_row in zip(numbers.rows, cells, strict=True)
    ]
    low, high = scale.place(scale.low), scale.place(scale.high)
    return {
        "type": HEAT_MAP,
        "x": list(range(len(numbers.columns))),
        "y": list(range(len(numbers.rows))),
        "z": [[None if cell is None else scale.place(cell.value) for cell in row] for row in cells],
        "zmin": low,
        "zmax": high if high > low else low + 1,
        "text": [["" if cell is None else scale.written(cell.value) for cell in row] for row in cells],
        "texttemplate": "%{text}",
        "hovertext": hover,
        "hoverinfo": "text",
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "meta": {
            "role": "heat-high",
            "of_rows": titles[0],
            "rows": list(numbers.rows),
            "columns": list(numbers.columns),
            "values": [[cell and cell.value for cell in row] for row in cells],
            "stderr": [[cell and cell.stderr for cell in row] for row in cells],
        },
    }


def _words(numbers: Numbers) -> Trace:
    """A word in each empty cell, or one in the middle of an empty row."""
    places: list[tuple[float, int, bool]] = []
    for y, row in enumerate(numbers.rows):
        empty = [x for x, column in enumerate(numbers.columns) if (row, column) not in numbers.cells]
        whole = len(empty) == len(numbers.columns)
        places += [((len(empty) - 1) / 2, y, True)] if whole else [(x, y, False) for x in empty]
    return scatter(
        x=[x for x, _, _ in places],
        y=[y for _, y, _ in places],
        mode="text",
        text=[numbers.missing] * len(places),
        textposition="middle center",
        hoverinfo="skip",
        meta={"role": "muted", MISSING: True, WHOLE_ROW: [whole for _, _, whole in places]},
    )
