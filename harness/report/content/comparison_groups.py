"""Comparison groups: the rows of a task that may be ranked against each other.

Rows are in one group if they have the same data, symmetry group, protocol, metric and version of the task.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import polars as pl

from harness import registry
from harness.differences import describe
from harness.report.content.published import PROTOCOL
from harness.report.content.titles import group_title
from tasks.cards import stricter

Row = Mapping[str, Any]
"""A row of a table of :mod:`harness.collate`."""
_GROUP_PARAMS = {"group", "degree"}
_KEYS = ("task", "task_version", "variant", "task_params", "protocol", "metric", "direction", "group")


@dataclass(frozen=True, kw_only=True)
class ComparisonGroup:
    """Rows that may be compared, and what they have in common.

    Attributes:
        task: The name of the task.
        protocol: The name of the protocol.
        variant: The data, if it is not the published data set.
        metric: The name of the metric.
        direction: ``min`` or ``max``, whichever is better.
        symmetry_group: The group under which the task is symmetric.
        params: The parameters of the task.
        chips: Short labels that say how this group differs from the other groups of the task.
        rows: The rows, one for each method and setting.
        is_main: Whether this is the main group of its protocol, the one with most methods.
        control: The control metric that the rows have, if any.
    """

    task: str
    protocol: str
    variant: str | None
    metric: str
    direction: str
    symmetry_group: str
    params: Mapping[str, Any]
    chips: tuple[str, ...]
    rows: tuple[Row, ...]
    is_main: bool
    control: str | None = None

    @property
    def ranks_by_worse(self) -> bool:
        """Whether the control is a stricter form of the metric, so that the worse of the two ranks a row."""
        return self.control in stricter(self.metric)

    @property
    def on_transformed_inputs(self) -> bool:
        """Whether the control is the metric on inputs transformed by random group elements."""
        transformed, _ = stricter(self.metric)
        return self.control == transformed


def by_task(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The rows of a table by task: registered tasks in the order of the registry, then the others by name."""
    known = list(registry.tasks())
    names = sorted(
        frame["task"].unique(), key=lambda name: (name not in known, known.index(name) if name in known else 0, name)
    )
    return {name: frame.filter(pl.col("task") == name).to_dicts() for name in names}


def comparison_groups(rows: Iterable[Row]) -> list[ComparisonGroup]:
    """The comparison groups of one task.

    The protocol ``paper`` comes first. In each protocol the main group comes first, and the others follow by symmetry
    group and size.
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
    found: list[ComparisonGroup] = []
    for key, members in order:
        params = json.loads(key["task_params"])
        found.append(
            ComparisonGroup(
                task=key["task"],
                protocol=key["protocol"],
                variant=key["variant"],
                metric=key["metric"],
                direction=key["direction"],
                symmetry_group=key["group"],
                params=params,
                chips=tuple(_chips(key, params, varying, several_versions)),
                rows=tuple(members),
                is_main=all(other.protocol != key["protocol"] for other in found),
                control=_control(members),
            )
        )
    return found


def nondefault_params(task: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a task that differ from the defaults of its card; a default of ``auto`` equals any value."""
    card = registry.tasks().get(task)
    defaults = card.params if card else {}
    return {name: value for name, value in params.items() if defaults.get(name, value) not in (value, "auto")}


def _control(rows: Iterable[Row]) -> str | None:
    """The control metric of the first row that has a value of one; None if no row has."""
    return next((row["control_name"] for row in rows if row.get("control_mean") is not None), None)


def _growth(key: Row, rows: list[Row]) -> tuple[Any, ...]:
    """The order of groups that are not main: current task versions first, then by symmetry group and size."""
    family = json.dumps(json.loads(key["task_params"]).get("group"))
    return _is_old(key), family, rows[0]["size"] or 0


def _is_old(key: Row) -> bool:
    card = registry.tasks().get(key["task"])
    return card is not None and key["task_version"] != card.version


def _rank(key: Row, rows: list[Row]) -> tuple[Any, ...]:
    """The order in which groups are considered for the main one of their protocol."""
    card = registry.tasks().get(key["task"])
    params = json.loads(key["task_params"])
    nondefault = sum(params.get(name) != value for name, value in card.params.items()) if card else 0
    return (
        key["protocol"] != PROTOCOL,
        key["protocol"],
        _is_old(key),
        -len({row["method"] for row in rows}),
        nondefault,
        rows[0]["size"] or 0,
        key["task_params"],
        key["variant"] or "",
        key["metric"],
    )


def _chips(key: Row, params: Mapping[str, Any], varying: set[str], several_versions: bool) -> Iterable[str]:
    if key["variant"]:
        yield key["variant"]
    card = registry.tasks().get(key["task"])
    nondefault = nondefault_params(key["task"], params)
    shown = {name: value for name, value in params.items() if name in varying or name in nondefault}
    if "group" in params and shown.keys() & _GROUP_PARAMS:  # the name of the group says both parameters
        yield group_title(key["group"])
        shown = {name: value for name, value in shown.items() if name not in _GROUP_PARAMS}
    if shown:
        yield describe(shown).replace("=", " = ")
    if several_versions or (card and key["task_version"] != card.version):
        now = f", now {card.version}" if card and key["task_version"] != card.version else ""
        yield f"task version {key['task_version']}{now}"


def _varying(params: list[Mapping[str, Any]]) -> set[str]:
    """The names of parameters that do not have the same value in all ``params``."""
    names = {name for values in params for name in values}
    return {name for name in names if len({json.dumps(values.get(name)) for values in params}) > 1}
