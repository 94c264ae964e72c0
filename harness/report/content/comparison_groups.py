"""Contests: rows that may be ranked against each other, since they share task, data, protocol and metric."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from harness import registry
from harness.differences import describe
from harness.report.content.published import PROTOCOL
from harness.report.content.titles import group_title
from tasks.cards import stricter

Row = Mapping[str, Any]
_OF_GROUP = {"group", "degree"}
_KEYS = ("task", "task_version", "variant", "task_params", "protocol", "metric", "direction", "group")


@dataclass(frozen=True, kw_only=True)
class Contest:
    """``params`` are the task's parameters, ``chips`` say in words what tells this contest from the task's others."""

    task: str
    protocol: str
    variant: str | None
    metric: str
    direction: str
    group: str
    params: Mapping[str, Any]
    chips: tuple[str, ...]
    rows: tuple[Row, ...]
    is_main: bool
    control: str | None = None

    @property
    def ranks_by_worse(self) -> bool:
        """Whether the control is the metric itself, asked for more: same unit, same direction."""
        return self.control in stricter(self.metric)

    @property
    def on_moved_inputs(self) -> bool:
        moved, _ = stricter(self.metric)
        return self.control == moved


def contests(rows: Iterable[Row]) -> list[Contest]:
    """The contests of one task: ``paper`` first, and of each protocol first the main one, with most methods.

    The others follow by their groups, as these grow.
    """
    grouped: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        grouped[tuple(row[key] for key in _KEYS)].append(row)
    keys = [dict(zip(_KEYS, key, strict=True)) for key in grouped]
    varying = _varying([json.loads(key["task_params"]) for key in keys])
    several_versions = len({key["task_version"] for key in keys}) > 1
    ranked = sorted(zip(keys, grouped.values(), strict=True), key=lambda pair: _rank(*pair))
    order: list[tuple[Row, list[Row]]] = []
    for _, of_protocol in groupby(ranked, key=lambda pair: pair[0]["protocol"]):
        main, *others = of_protocol
        order += [main, *sorted(others, key=lambda pair: _growth(*pair))]
    found: list[Contest] = []
    for key, members in order:
        params = json.loads(key["task_params"])
        found.append(
            Contest(
                task=key["task"],
                protocol=key["protocol"],
                variant=key["variant"],
                metric=key["metric"],
                direction=key["direction"],
                group=key["group"],
                params=params,
                chips=tuple(_chips(key, params, varying, several_versions)),
                rows=tuple(members),
                is_main=all(other.protocol != key["protocol"] for other in found),
                control=_control(members),
            )
        )
    return found


def _control(rows: Iterable[Row]) -> str | None:
    """The control that rows recorded; ``None`` where no row has a value of one."""
    return next((row["control_name"] for row in rows if row.get("control_mean") is not None), None)


def _growth(key: Row, rows: list[Row]) -> tuple[Any, ...]:
    family = json.dumps(json.loads(key["task_params"]).get("group"))
    return _is_old(key), family, rows[0]["size"] or 0


def _is_old(key: Row) -> bool:
    card = registry.tasks().get(key["task"])
    return card is not None and key["task_version"] != card.version


def _rank(key: Row, rows: list[Row]) -> tuple[Any, ...]:
    card = registry.tasks().get(key["task"])
    params = json.loads(key["task_params"])
    unusual = sum(params.get(name) != value for name, value in card.params.items()) if card else 0
    return (
        key["protocol"] != PROTOCOL,
        key["protocol"],
        _is_old(key),
        -len({row["method"] for row in rows}),
        unusual,
        rows[0]["size"] or 0,
        key["task_params"],
        key["variant"] or "",
        key["metric"],
    )


def _chips(key: Row, params: Mapping[str, Any], varying: set[str], several_versions: bool) -> Iterable[str]:
    if key["variant"]:
        yield key["variant"]
    card = registry.tasks().get(key["task"])
    other = unusual(key["task"], params)
    shown = {name: value for name, value in params.items() if name in varying or name in other}
    if "group" in params and shown.keys() & _OF_GROUP:  # its parameters are a template and a number
        yield group_title(key["group"])
        shown = {name: value for name, value in shown.items() if name not in _OF_GROUP}
    if shown:
        yield describe(shown).replace("=", " = ")
    if several_versions or (card and key["task_version"] != card.version):
        now = f", now {card.version}" if card and key["task_version"] != card.version else ""
        yield f"task version {key['task_version']}{now}"


def unusual(task: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a task that are not its card's (``auto`` stands for any)."""
    card = registry.tasks().get(task)
    usual = card.params if card else {}
    return {name: value for name, value in params.items() if usual.get(name, value) not in (value, "auto")}


def _varying(params: list[Mapping[str, Any]]) -> set[str]:
    names = {name for values in params for name in values}
    return {name for name in names if len({json.dumps(values.get(name)) for values in params}) > 1}
