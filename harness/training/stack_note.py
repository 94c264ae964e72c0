"""The note of a run that was trained in a stack: its training time is its share of the stack's."""

from __future__ import annotations

import re
from collections.abc import Iterable

_STACKED = re.compile(r"trained in a stack of (\d{1,6}) seeds")


def stack_note(seeds: int) -> str:
    """Returns the note of a run in a stack of ``seeds``."""
    return f"trained in a stack of {seeds} seeds: train_seconds is this run's share"


def stack_of(notes: Iterable[str]) -> int:
    """Returns how many runs the stack had, by the notes of one of them; 1 for a run that was not in a stack."""
    return next((int(found[1]) for found in map(_STACKED.match, notes) if found), 1)
