"""What a figure of curves hides: curves that coincide, and zeros on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.report.rendering.formats import listed

WITHIN = 1 / 200
"""Two points that differ by less than this share of the axis cannot be told apart: it is the width of a line."""
MOST = 12


class Point(NamedTuple):
    """A point of a curve.

    Attributes:
        x: Its position.
        y: Its value; None if it is not drawn.
        censored: Whether the value is only known to be larger than ``y``.
    """

    x: float
    y: float | None
    censored: bool = False


class Curve(NamedTuple):
    """The name of a curve in the legend, and its points."""

    name: str
    points: Sequence[Point]


def hidden(curves: Sequence[Curve], *, log: bool) -> Iterator[str]:
    """Sentences about what a reader cannot see.

    Args:
        curves: All curves of a figure.
        log: Whether the axis of the values is logarithmic.
    """
    for names in coinciding(curves, log=log):
        yield f"{joined(names)} coincide."
    if not log:
        return
    zero = [curve for curve in curves if any(point.y is not None and point.y <= 0 for point in curve.points)]
    if everywhere := [curve.name for curve in zero if not _drawn(curve, log)]:
        yield f"Zero, which a logarithmic axis cannot show: {joined(everywhere)}."
    if somewhere := [curve.name for curve in zero if _drawn(curve, log)]:
        yield f"Not drawn where the value is zero: {joined(somewhere)}."


def coinciding(curves: Sequence[Curve], *, log: bool) -> list[list[str]]:
    """The names of curves that lie on one another, at all of their points and within the accuracy of a drawing.

    Args:
        curves: All curves of a figure; together they set the range of the axis.
        log: Whether the axis of the values is logarithmic.

    Returns:
        Groups of at least two names, each curve in at most one of them.
    """
    drawn = [(curve.name, points) for curve in curves if (points := _drawn(curve, log))]
    heights = [height for _, points in drawn for _, height, _ in points]
    if not heights:
        return []
    margin = max(WITHIN * (max(heights) - min(heights)), 1e-9 * max(map(abs, heights)))
    groups: list[tuple[list[tuple[float, float, bool]], list[str]]] = []
    for name, points in drawn:
        names = next((names for first, names in groups if _alike(first, points, margin)), None)
        if names is None:
            groups.append((points, [name]))
        else:
            names.append(name)
    return [names for _, names in groups if len(names) > 1]


def joined(names: Sequence[str]) -> str:
    """Names as in a sentence: ``a, b and c``."""
    if len(names) > MOST:
        return listed(list(names), MOST)
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _drawn(curve: Curve, log: bool) -> list[tuple[float, float, bool]]:
    """The points that are drawn, with heights as on the axis."""
    return sorted(
        (x, math.log10(y) if log else y, censored)
        for x, y, censored in curve.points
        if y is not None and math.isfinite(y) and (y > 0 or not log)
    )


def _alike(first: Sequence[tuple[float, float, bool]], second: Sequence[tuple[float, float, bool]], by: float) -> bool:
    """Whether two curves have the same points, with heights that differ at most ``by``."""
    return len(first) == len(second) and all(
        (x, censored) == (other_x, other_censored) and abs(y - other_y) <= by
        for (x, y, censored), (other_x, other_y, other_censored) in zip(first, second, strict=True)
    )
