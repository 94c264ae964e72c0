"""The notes that runs recorded for the reader of their results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from harness.report.content.comparison_groups import Row
from harness.report.rendering.formats import listed

Notes = Mapping[str, Sequence[str]]
"""Notes by setting."""


def run_notes(runs: pl.DataFrame) -> Notes:
    """The notes of all runs by setting, each note once."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for setting, notes in runs.select("setting", "notes").iter_rows():
        found[setting] |= dict.fromkeys(notes)
    return {setting: list(notes) for setting, notes in found.items()}


def note_sentences(rows: Iterable[Row], notes: Notes) -> list[str]:
    """The notes of some rows. A note that not all rows have starts with the names of its methods."""
    rows = list(rows)
    methods: defaultdict[str, set[str]] = defaultdict(set)
    settings: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        for note in notes.get(row["setting"], ()):
            methods[note].add(row["method"])
            settings[note].add(row["setting"])
    every = {row["setting"] for row in rows}
    return [
        note if settings[note] == every else f"{listed(sorted(methods[note]), 8)}: {note}" for note in sorted(methods)
    ]
