"""Single figures of the report by name: as vector graphics, or their data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import polars as pl

from harness.errors import SettingsError, StoreError, UnknownName
from harness.report.rendering import heat_map
from harness.report.rendering.figures import CENSORED, Figure, FigureGroup, Series, Trace
from harness.report.rendering.vector import Layout, draw
from harness.utils.spreadsheets import inert
from harness.utils.text import nearest
from tasks.sources.atomic_files import publish

FORMATS = (".pdf", ".svg", ".png", ".csv")
COLUMNS = {
    "series": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "censored": pl.Boolean,
}


@dataclass(frozen=True, kw_only=True)
class NamedFigure:
    """A figure of the report.

    Attributes:
        name: Unique in the report, for example ``nbody-protocol-paper/mse-against-k``.
        group: The figures that share its legend.
        figure: The figure.
    """

    name: str
    group: FigureGroup
    figure: Figure


def named_figures(contents: Mapping[str, Any]) -> dict[str, NamedFigure]:
    """All figures in the contents of a report (:func:`harness.report.report.report_contents`), in its order."""
    found: dict[str, NamedFigure] = {}
    for group in _groups(contents):
        for figure in group.figures:
            title = re.sub(r" \((higher|lower) is better\)", "", figure.title)
            name = free = f"{_slug(group.title)}/{_slug(title)}"
            number = 1
            while free in found:
                number += 1
                free = f"{name}-{number}"
            found[free] = NamedFigure(name=free, group=group, figure=figure)
    return found


def write_figure(figures: Mapping[str, NamedFigure], name: str, out: Path, layout: Layout) -> None:
    """Writes one figure, or its data if ``out`` ends in ``.csv``.

    Args:
        figures: All figures by name.
        name: The name of the figure.
        out: A file that ends in one of :data:`FORMATS`.
        layout: The size and the type.

    Raises:
        UnknownName: There is no such figure.
        SettingsError: The suffix is another one.
        StoreError: The file cannot be written.
    """
    if name not in figures:
        raise UnknownName(f"There is no figure '{name}': {nearest(name, figures)}")
    if out.suffix not in FORMATS:
        raise SettingsError(f"--out {out}: name a file that ends in {', '.join(FORMATS)}.")
    found = figures[name]
    try:
        if out.suffix == ".csv":
            publish({out: inert(data(found.figure, found.group.legend)).write_csv().encode()})
            return
        draw(found.figure, found.group.legend, out, layout)
    except OSError as error:
        raise StoreError(f"The figure cannot be written to {out} ({error.strerror or error}).") from error


def data(figure: Figure, legend: Sequence[Series]) -> pl.DataFrame:
    """The points of a figure: series, x, y, and y minus and plus one standard error where it is drawn.

    A value that is ``censored`` is only known to be larger than y. In a heat map a series is a row and x its column.
    """
    names = {series.id: series.name for series in legend}
    rows: list[tuple[Any, ...]] = []
    traces = figure.spec["data"]
    bands = {trace["meta"]["series"]: _edges(trace) for trace in traces if trace["meta"].get("band")}
    for trace in traces:
        if trace["type"] == heat_map.HEAT_MAP:
            rows += [(*point, False) for point in heat_map.points(trace)]
        if trace["type"] == heat_map.HEAT_MAP or trace["meta"].keys() & {"band", heat_map.MISSING}:
            continue
        id_ = trace["meta"].get("series")
        bars = trace["error_y"]["array"] if "error_y" in trace else [None] * len(trace["x"])
        censored = trace["meta"].get(CENSORED) or [False] * len(trace["x"])
        for x, y, bar, beyond in zip(trace["x"], trace["y"], bars, censored, strict=True):
            low, high = bands.get(id_, {}).get(x, (None, None)) if bar is None else (y - bar, y + bar)
            rows.append((names.get(id_, trace["meta"]["role"]), x, y, low, high, beyond))
    return pl.DataFrame(rows, schema=COLUMNS, orient="row", strict=False)


def _edges(band: Trace) -> dict[float, tuple[float, float]]:
    """The lower and the upper edge of a band at each x; its outline goes there above and back below."""
    half = len(band["x"]) // 2
    lows = reversed(band["y"][half:])
    return {x: (low, high) for x, high, low in zip(band["x"][:half], band["y"][:half], lows, strict=True)}


def _groups(value: Any) -> Iterator[FigureGroup]:
    if isinstance(value, FigureGroup):
        yield value
    elif is_dataclass(value):
        for item in fields(value):
            yield from _groups(getattr(value, item.name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _groups(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _groups(one)


def _slug(title: str) -> str:
    return re.sub(r"[^\w.]+", "-", title).strip("-").lower()
