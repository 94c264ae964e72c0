"""The rule by which rows are ranked, and the marks of ranked rows."""

from __future__ import annotations

import numpy as np

from harness.collate.bootstrap import Array
from harness.collate.significance import LEAST_SEEDS
from harness.collate.standings import Standings
from harness.report.rendering.cells import Mark

RULE = (
    "A new rank begins only where every row above differs significantly from every row below, by tests at the 95 % "
    "level, adjusted for the number of pairs. The sign = means that rows share a rank. With fewer than "
    f"{LEAST_SEEDS} seeds no difference is claimed."
)
"""Stated once in a report, for all its tables."""


def significance_marks(found: Standings, values: Array) -> list[Mark]:
    """The mark of every row: ``best``, ``tied`` or none.

    ``best`` marks the best value and all that equal it. ``tied`` marks the rows that do not differ significantly from
    it; it is used only if the rows could be tested. A row without a place has no mark, nor has a row that is alone.

    Args:
        found: The standings of the rows.
        values: The values by which the rows are ranked, as given to :func:`~harness.collate.standings.standings`.
    """
    placed = np.array([place is not None for place in found.places])
    if placed.sum() < 2:
        return [""] * len(values)
    best = int(np.argmax(np.where(placed, values, -np.inf)))
    differs = found.apart[best]
    return [
        "" if not has else "best" if value == values[best] else "tied" if found.tested and not other else ""
        for has, value, other in zip(placed, values, differs, strict=True)
    ]


def place_text(place: int, places: list[int | None]) -> str:
    """A place as ``3``, or as ``3=`` if several rows share it."""
    return f"{place}=" if places.count(place) > 1 else str(place)
