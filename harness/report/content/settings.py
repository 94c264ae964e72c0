"""What departs from the published settings, said once where every row of a table shares it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import polars as pl

from harness.differences import describe
from harness.report.content.comparison_groups import Row
from harness.report.content.deviations import departures

Changes = Mapping[str, Mapping[str, Any] | None]
"""By setting: dotted name to value of what departs; ``None`` where that cannot be told."""


def changed_settings(runs: pl.DataFrame) -> Changes:
    specs = runs.unique("setting", keep="first", maintain_order=True).select("setting", "spec_json")
    return {setting: _departures(spec) for setting, spec in specs.iter_rows()}


@lru_cache(maxsize=1 << 17)
def _departures(spec_json: str) -> Mapping[str, Any] | None:
    """Each section of a report asks for those of every setting."""
    return departures(json.loads(spec_json))


def shared(rows: Iterable[Row], changes: Changes) -> dict[str, Any]:
    """The changes that every row has."""
    first, *others = [changes[row["setting"]] for row in rows]
    if first is None or None in others:
        return {}
    known = [values for values in others if values is not None]
    return {name: value for name, value in first.items() if all(name in c and c[name] == value for c in known)}


def note(row: Row, changes: Changes, common: Mapping[str, Any]) -> str:
    """The changes of this row less the ``common`` ones; what tells it from others where its changes are not known."""
    own = changes[row["setting"]]
    if own is None:
        return row["setting_label"] or ""
    return describe({name: value for name, value in own.items() if name not in common})


def changed_sentence(protocol: str, common: Mapping[str, Any]) -> str:
    """Empty where every row keeps to the published settings, or none shares a change."""
    return f"Changed from the published settings of {protocol} in every row: {describe(common)}" if common else ""
