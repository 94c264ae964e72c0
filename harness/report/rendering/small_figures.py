"""Small figures that the page contains as SVG, so that they are there at once and without JavaScript.

Positions are in units of the SVG; y grows downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.rendering.styles import Style

STRIP_WIDTH = 100.0
_STRIP_MARGIN = 7.0
PANEL_WIDTH, PANEL_HEIGHT = 330.0, 112.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 8.0, 20.0
_LABEL_SPACE = 30.0
"""The least distance between two labels of an axis."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A linear or logarithmic scale from ``low`` and ``high`` to the positions ``start`` and ``end``.

    Raises:
        ValueError: If ``log`` and ``low`` is not positive.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value; values outside are moved to the nearer end, and a scale of one value has its end."""
        low, high, inner = (math.log(x) if self.log else x for x in (self.low, self.high, self._inside(value)))
        share = (inner - low) / (high - low) if high > low else 1.0
        return round(self.start + share * (self.end - self.start), 1)

    def _inside(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def decades(self) -> list[float]:
        """The powers of ten on a logarithmic scale."""
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        return [10.0**power for power in range(first, last + 1)]


def strip_scale(low: float, high: float, *, log: bool, falling: bool = False) -> Scale:
    """The scale of a strip; with ``falling`` the lowest value is at the right."""
    ends = (_STRIP_MARGIN, STRIP_WIDTH - _STRIP_MARGIN)
    start, end = reversed(ends) if falling else ends
    return Scale(low=low, high=high, start=start, end=end, log=log)


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One value on a strip.

    Attributes:
        x: The position; None if the value is not known.
        left: The left end of its interval.
        right: The right end of its interval.
        role: The name of its colour.
        is_main: Whether it is emphasized.
        is_beyond: Whether the value is only known to lie beyond the right end, drawn as an arrow.
    """

    x: float
    left: float
    right: float
    role: str
    is_main: bool = True
    is_beyond: bool = False


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Values on one line. ``label`` says in words what is shown, and ``ticks`` are the positions of grid lines."""

    label: str
    dots: Sequence[Dot]
    ticks: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A tick of a panel: its position, its text, and whether there is space for the text."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class PanelLine:
    """A curve: the points as SVG writes them, the points one by one, and the style."""

    path: str
    points: Sequence[tuple[float, float]]
    style: Style


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Curves on two logarithmic axes. ``label`` says in words what is shown."""

    label: str
    lines: Sequence[PanelLine]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    left: float = _LEFT
    right: float = PANEL_WIDTH - _RIGHT
    bottom: float = PANEL_HEIGHT - _BOTTOM


Points = Sequence[tuple[float, float]]


def panel(
    label: str, curves: Sequence[tuple[Style, Points]], x_texts: dict[float, str], y_text: dict[float, str]
) -> Panel:
    """A panel of curves of positive values.

    Args:
        label: What is shown, in words.
        curves: The style and the points of each curve.
        x_texts: The texts of the ticks of x, which are left out where there is no space.
        y_text: The texts of the ticks of y.
    """
    xs = [x for _, points in curves for x, _ in points]
    ys = [y for _, points in curves for _, y in points]
    across = Scale(low=min(xs), high=max(xs), start=_LEFT + 8, end=PANEL_WIDTH - _RIGHT - 4, log=True)
    up = Scale(low=min(ys), high=max(ys), start=PANEL_HEIGHT - _BOTTOM - 6, end=_TOP, log=True)
    lines = []
    for style, points in curves:
        placed = [(across.at(x), up.at(y)) for x, y in points]
        lines.append(PanelLine(path=" ".join(f"{x:g},{y:g}" for x, y in placed), points=placed, style=style))
    return Panel(
        label=label,
        lines=lines,
        x_ticks=_spaced([Tick(at=across.at(x), text=text) for x, text in sorted(x_texts.items())]),
        y_ticks=[Tick(at=up.at(y), text=text) for y, text in y_text.items() if min(ys) <= y <= max(ys)],
    )


def _spaced(ticks: Sequence[Tick]) -> list[Tick]:
    """The ticks that have space for their texts, from the last one, which is always kept."""
    kept: list[Tick] = []
    for tick in reversed(ticks):
        if not kept or kept[-1].at - tick.at >= _LABEL_SPACE:
            kept.append(tick)
    return kept[::-1]
