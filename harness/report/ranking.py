"""Which rows are best, and which cannot be told from the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Standing = Literal["", "best", "tied"]


def standings(means: Sequence[float | None], stderrs: Sequence[float | None], direction: str) -> list[Standing]:
    """``best`` for the best mean (all that equal it), ``tied`` within one standard error of the difference from it.

    A missing standard error (one seed) counts as zero: with one seed each, only equal values tie.
    """
    known = [mean for mean in means if mean is not None]
    if len(known) < 2:
        return ["" for _ in means]
    best = max(known) if direction == "max" else min(known)
    best_error = min(error or 0.0 for mean, error in zip(means, stderrs, strict=True) if mean == best)
    return [_standing(mean, error or 0.0, best, best_error) for mean, error in zip(means, stderrs, strict=True)]


def _standing(mean: float | None, error: float, best: float, best_error: float) -> Standing:
    if mean is None:
        return ""
    if mean == best:
        return "best"
    return "tied" if abs(mean - best) <= math.hypot(error, best_error) else ""


def places(means: Sequence[float | None], stderrs: Sequence[float | None], direction: str) -> list[int | None]:
    """1 + the number of those that are better by more than one standard error of the difference; ``None`` without a
    mean. Methods that nothing tells apart share a place.
    """
    sign = -1.0 if direction == "max" else 1.0
    known = [(sign * mean, error or 0.0) for mean, error in zip(means, stderrs, strict=True) if mean is not None]
    return [
        None if mean is None else 1 + sum(sign * mean - other > math.hypot(error or 0.0, its) for other, its in known)
        for mean, error in zip(means, stderrs, strict=True)
    ]
