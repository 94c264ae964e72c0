"""Changes from the published settings. A change that all rows of a table share is stated once above the table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import polars as pl

from harness.differences import describe
from harness.report.content.comparison_groups import Row
from harness.report.content.deviations import deviations

Changes = Mapping[str, Mapping[str, Any] | None]
"""By setting: the changed settings with their values by dotted name, or None if they are not known."""


def changed_settings(runs: pl.DataFrame) -> Changes:
    """The changes of every setting in the table ``runs``."""
    specs = runs.unique("setting", keep="first", maintain_order=True).select("setting", "spec_json")
    return {setting: _deviations(spec) for setting, spec in specs.iter_rows()}


@lru_cache(maxsize=1 << 17)
def _deviations(spec_json: str) -> Mapping[str, Any] | None:
    """Cached, since every section of a report needs the changes of every setting."""
    return deviations(json.loads(spec_json))


def shared_changes(rows: Iterable[Row], changes: Changes) -> dict[str, Any]:
    """The changes that all rows have."""
    first, *others = [changes[row["setting"]] for row in rows]
    if first is None or None in others:
        return {}
    known = [values for values in others if values is not None]
    return {name: value for name, value in first.items() if all(name in c and c[name] == value for c in known)}


def protocol_text(protocol: str, own: Mapping[str, Any] | None) -> str:
    """The name of the protocol of a run, ``paper``, or ``paper, changed`` if its settings are not those of it."""
    return f"{protocol}, changed" if own else protocol


def shared_protocol(protocol: str, rows: Iterable[Row], changes: Changes) -> str:
    """The protocol of a table, as :func:`protocol_text` writes it: changed if the settings of every row are."""
    return protocol_text(protocol, {} if any(not changes[row["setting"]] for row in rows) else {"": None})


def setting_label(row: Row, changes: Changes, common: Mapping[str, Any]) -> str:
    """The changes of a row without the ``common`` ones.

    If the changes are not known, the result is the label of the setting: what differs from the method's other settings.
    """
    own = changes[row["setting"]]
    if own is None:
        return row["setting_label"] or ""
    return describe({name: value for name, value in own.items() if name not in common})


def changed_sentence(protocol: str, common: Mapping[str, Any]) -> str:
    """A sentence about the changes that all rows share; empty if there are none."""
    return f"Changed from the published settings of {protocol} in every row: {describe(common)}" if common else ""
