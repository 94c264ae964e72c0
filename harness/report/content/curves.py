"""Curves over the number of group samples k or over the size of the group."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.report.content.comparison_groups import Row
from harness.report.rendering.figures import Axis, Line, Series

Curve = list[Row]
"""The points of one setting, sorted by what the curve runs over."""

ROUNDING = 1e-9
"""A variance below this share of the largest in a figure comes from rounding errors, not from group samples."""

EXACT = 1e-4
"""A relative equivariance error below this comes from rounding errors in single precision."""


def is_flat(curve: Curve) -> bool:
    """Whether a curve has the same values at every k, since the method brings its own samples."""
    return len(curve) > 1 and len({(row["mean"], row["variance"]) for row in curve}) == 1


def above_rounding(curve: Curve, shown: Sequence[Curve]) -> Curve:
    """The points of ``curve`` with a variance that can be drawn on a logarithmic axis.

    Args:
        curve: The curve to select from.
        shown: All curves of the figure; their largest variance sets the limit.
    """
    limit = ROUNDING * max(row["variance"] or 0.0 for one in shown for row in one)
    return [row for row in curve if (row["variance"] or 0.0) > limit]


def inexact(curve: Curve, column: str = "equivariance") -> Curve:
    """The points of ``curve`` with an equivariance error that can be drawn on a logarithmic axis."""
    return [row for row in curve if (row[column] or 0.0) > EXACT]


def needed_line(series: Series, rows: Sequence[Row], against: str) -> Line:
    """The samples needed to be within 1 % of the limit, with an arrow at the largest k measured if more are needed.

    Args:
        series: The method.
        rows: Rows with ``samples_needed`` and ``samples_most``; one whose number is not known has no point.
        against: The column of the positions.
    """
    known = [row for row in rows if row["samples_needed"] is not None]
    censored = [math.isinf(row["samples_needed"]) for row in known]
    return Line(
        series=series,
        x=[row[against] for row in known],
        y=[row["samples_most" if more else "samples_needed"] for row, more in zip(known, censored, strict=True)],
        stderr=[None] * len(known),
        censored=censored,
    )


def needed_axis(lines: Sequence[Line]) -> Axis:
    """The axis of lines of :func:`needed_line`, from one sample to the largest number, with a tick at every number."""
    ticks = sorted({1.0, *(k for line in lines for k in line.y if k is not None)})
    return Axis(title="k at evaluation", log=True, ticks=ticks, ends=(0.9, 1.1 * ticks[-1]))
