"""The cards of the methods and tasks that ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from baselines.cards import MethodCard
from harness import registry
from harness.report.content.titles import (
    BUILT_IN,
    arrow,
    better,
    card_id,
    group_title,
    method_title,
    sampler_title,
    task_title,
)
from harness.report.rendering.cells import NO_FACETS, Facets
from harness.report.rendering.styles import Style, method_style
from tasks.cards import TaskCard

NOT_REGISTERED = "Not registered in any installed package. Only what its runs recorded is known."


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card of the page. ``facts`` are pairs of a word and a text, and ``facets`` say what the card is about."""

    id: str
    name: str
    title: str
    facts: Sequence[tuple[str, str]]
    remark: str = ""
    style: Style | None = None
    facets: Facets = NO_FACETS


def method_cards(runs: pl.DataFrame) -> list[Card]:
    """One card for each method that ran: registered methods in the order of the registry, then the others by name."""
    seen = runs.group_by("method").agg(
        pl.col("base_model", "sampler").last(),
        pl.col("group").unique().sort(),
        pl.col("method_version").unique().sort().alias("versions"),
    )
    cards = registry.methods()
    return [
        Card(
            id=card_id("method", name),
            name=name,
            title=method_title(name),
            facts=_method_facts(cards.get(name), row),
            remark="" if name in cards else NOT_REGISTERED,
            style=method_style(row["sampler"], row["base_model"]),
            facets=Facets(method=name, sampler=row["sampler"] or BUILT_IN),
        )
        for name, row in _registered_first(seen, "method", cards)
    ]


def task_cards(runs: pl.DataFrame) -> list[Card]:
    """One card for each task that ran: registered tasks in the order of the registry, then the others by name."""
    seen = runs.group_by("task").agg(
        pl.col("metric", "direction").last(),
        pl.col("group", "variant", "protocol").drop_nulls().unique().sort(),
        pl.col("task_version").unique().sort().alias("versions"),
        pl.col("size").drop_nulls().unique().sort().cast(pl.String).alias("sizes"),
    )
    cards = registry.tasks()
    return [
        Card(
            id=card_id("task", name),
            name=name,
            title=task_title(name),
            facts=_task_facts(cards.get(name), row),
            remark="" if name in cards else NOT_REGISTERED,
            facets=Facets(task=name),
        )
        for name, row in _registered_first(seen, "task", cards)
    ]


def _registered_first(seen: pl.DataFrame, key: str, cards: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """Names with their rows: those of ``cards`` in that order, then the others by name."""
    rows = {row[key]: row for row in seen.sort(key).iter_rows(named=True)}
    order = dict.fromkeys([*cards, *rows])
    return [(name, rows[name]) for name in order if name in rows]


def _method_facts(card: MethodCard | None, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    ran_on = ("Ran on", _groups(row["group"]))
    if card is None:
        elements = sampler_title(row["sampler"]) if row["sampler"] else BUILT_IN
        return [
            ("Base model", row["base_model"]),
            ("Group elements", elements),
            ran_on,
            ("Version", ", ".join(row["versions"])),
        ]
    return [
        ("Kind", "a base model with a sampler" if card.sampler else "equivariant by construction"),
        ("Base model", f"{card.base.title} ({card.base.source})"),
        ("Group elements", f"{card.sampler.title} ({card.sampler.source})" if card.sampler else BUILT_IN),
        ("Guarantee", card.guarantee or "not stated"),
        ("Base model respects", _groups(sorted(card.base.respects)) or "no symmetry"),
        *_deviations(card.deviations),
        ran_on,
        ("Version", _version(row["versions"], card.version)),
    ]


def _task_facts(card: TaskCard | None, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("Group", _groups(row["group"])),
        ("Metric", f"{row['metric']} {arrow(row['direction'])} ({better(row['direction'])})"),
        ("Data", ", ".join(row["variant"]) or "the published set"),
        ("Ran under", ", ".join(row["protocol"])),
    ]
    if card is None:
        return [*facts, ("Version", ", ".join(row["versions"]))]
    return [
        *facts,
        ("Reads", ", ".join(sorted(card.inputs)).replace("_", " ")),
        ("Predicts", card.output.replace("_", " ")),
        *([(card.size_name.capitalize(), ", ".join(row["sizes"]))] if row["sizes"] else []),
        ("Source", card.source),
        *_deviations(card.deviations),
        ("Version", _version(row["versions"], card.version)),
    ]


def _deviations(sentences: Sequence[str]) -> list[tuple[str, str]]:
    return [("Known deviations from the publication", ". ".join(sentences))] if sentences else []


def _groups(names: Iterable[str]) -> str:
    return ", ".join(map(group_title, names))


def _version(ran: Sequence[str], now: str) -> str:
    shown = ", ".join(ran)
    return shown if list(ran) == [now] else f"{shown}; now {now}"
