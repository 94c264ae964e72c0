"""What runs noted for their reader."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from harness.report.content.comparison_groups import Row
from harness.report.rendering.formats import listed

Notes = Mapping[str, Sequence[str]]
"""By setting."""


def run_notes(runs: pl.DataFrame) -> Notes:
    """The notes of all runs of a setting, each once."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for setting, notes in runs.select("setting", "notes").iter_rows():
        found[setting] |= dict.fromkeys(json.loads(notes))
    return {setting: list(notes) for setting, notes in found.items()}


def told(rows: Iterable[Row], notes: Notes) -> list[str]:
    """The notes of some rows; one that not all share names the methods it is of."""
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
