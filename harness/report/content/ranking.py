"""The marks of rows that are ranked, and the rule that ranks follow in words."""

from __future__ import annotations

from typing import Literal

import numpy as np

from harness.collate.bootstrap import Array
from harness.collate.significance import LEAST_SEEDS
from harness.collate.standings import Standings

Mark = Literal["", "best", "tied"]

RULE = (
    "A place begins where a test at 95 %, adjusted for the number of pairs, tells every row before it from every row "
    f"after it; = where rows share one. Nothing is claimed with fewer than {LEAST_SEEDS} seeds."
)
"""Said once in a report, for all its tables."""


def marks(found: Standings, values: Array) -> list[Mark]:
    """``best`` for the best value (all that equal it), ``tied`` where a test does not tell a row from it.

    ``values`` are those that :func:`~harness.collate.standings.standings` was given. Rows without a place have no mark,
    nor has a row that is alone; without a test none is ``tied``.
    """
    placed = np.array([place is not None for place in found.places])
    if placed.sum() < 2:
        return [""] * len(values)
    best = int(np.argmax(np.where(placed, values, -np.inf)))
    return [
        "" if not has else "best" if value == values[best] else "tied" if found.tested and not apart else ""
        for has, value, apart in zip(placed, values, found.apart[best], strict=True)
    ]


def place_text(place: int, places: list[int | None]) -> str:
    """``3``, or ``3=`` where others share it."""
    return f"{place}=" if places.count(place) > 1 else str(place)
