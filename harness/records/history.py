"""The metrics that a run logs, kept in bounded memory until its record is written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

ROWS = 20_000


class HistoryRow(NamedTuple):
    """The value of one metric at one step, ``seconds`` after the start of the run."""

    step: int
    name: str
    value: float
    seconds: float


class _Series:
    """Every ``stride``-th point of one metric, and its latest point."""

    def __init__(self) -> None:
        self.points: list[HistoryRow] = []
        self.stride = 1
        self._seen = 0
        self._latest: HistoryRow | None = None

    def add(self, row: HistoryRow) -> None:
        if self._seen % self.stride == 0:
            self.points.append(row)
        self._seen += 1
        self._latest = row

    def halve(self) -> None:
        self.points = self.points[::2]
        self.stride *= 2

    def rows(self) -> list[HistoryRow]:
        if self._latest is None or self.points[-1] is self._latest:
            return self.points
        return [*self.points, self._latest]


class History:
    """Hooks that keep every metric: all points while there are few, then every second, every fourth and so on.

    Args:
        limit: The largest number of points in memory, apart from the first and last of each metric.
    """

    def __init__(self, limit: int = ROWS) -> None:
        self._limit = limit
        self._series: dict[str, _Series] = {}
        self._since = time.monotonic()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the values of metrics at a step."""
        seconds = time.monotonic() - self._since
        for name, value in values.items():
            self._series.setdefault(name, _Series()).add(HistoryRow(int(step), name, float(value), seconds))
        if sum(len(series.points) for series in self._series.values()) > self._limit:
            self._thin()

    @property
    def rows(self) -> list[HistoryRow]:
        """The points in order of time, then in the order in which their metrics were first logged."""
        return sorted((row for series in self._series.values() for row in series.rows()), key=lambda row: row.seconds)

    def _thin(self) -> None:
        """Halves the longest metrics, so that short ones keep all their points."""
        longest = max(len(series.points) for series in self._series.values())
        for series in self._series.values():
            if len(series.points) * 2 > longest:
                series.halve()
