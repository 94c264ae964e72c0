"""The note of a run that was trained together with others: what its training took is its share of them all."""

from __future__ import annotations

import re
from collections.abc import Iterable

_STACKED = re.compile(r"trained in a stack of (\d{1,6}) seeds")


def stack_note(seeds: int) -> str:
    """What a run notes that was one of so many ``seeds``."""
    return f"trained in a stack of {seeds} seeds: train_seconds is this run's share"


def stack_of(notes: Iterable[str]) -> int:
    """How many runs were trained at once, by the notes of one of them: 1 of a run that was trained alone."""
    return next((int(found[1]) for found in map(_STACKED.match, notes) if found), 1)
