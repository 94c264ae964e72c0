"""Badges beside a method: that a run departs from its protocol, or that its score cannot be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.collate import Tables
from harness.differences import describe
from harness.report.content.comparison_groups import ComparisonGroup, Row, by_task, comparison_groups
from harness.report.content.control_metrics import WHY, drop
from harness.report.content.settings import Changes, changed_settings, protocol_text
from harness.report.rendering.cells import Badge

Badges = Mapping[tuple[str, str | None], tuple[Badge, ...]]
"""By setting and source."""


def badges(tables: Tables) -> Badges:
    """The badges of every setting."""
    changes = changed_settings(tables.runs)
    groups = (one for rows in by_task(tables.accuracy).values() for one in comparison_groups(rows))
    return {_key(row): tuple(_of(row, one, changes)) for one in groups for row in one.rows}


def badge_sentences(rows: Iterable[Row], found: Badges) -> list[str]:
    """What the badges of these rows mean, each said once. What was changed is said in each row instead."""
    marks = {badge.text for row in rows for badge in found.get(_key(row), ())}
    return [f"{mark.capitalize()}: {why}." for mark, why in WHY.items() if mark in marks]


def marks_of(curves: Iterable[Sequence[Row]], found: Badges) -> Badges:
    """The badges of curves over several settings, by the first of them: all that one of its settings has, each once."""
    return {_key(curve[0]): tuple(dict.fromkeys(one for row in curve for one in found[_key(row)])) for curve in curves}


def _key(row: Row) -> tuple[str, str | None]:
    return row["setting"], row["source"]


def _of(row: Row, comparison_group: ComparisonGroup, changes: Changes) -> Iterator[Badge]:
    if own := changes[row["setting"]]:
        yield Badge(text=protocol_text(row["protocol"], own), why=f"Changed from the protocol: {describe(own)}")
    if mark := drop(row, comparison_group):
        yield Badge(text=mark, why=WHY[mark].capitalize())
