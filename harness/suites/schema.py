"""A JSON schema (draft 2020-12) of suite files, with which editors complete and check them (no torch).

It has the keys, the names of tasks and methods, and the values that each setting accepts. Conditions on several
settings are checked when a suite is read (``symbench plan``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from baselines.cards import BaseCard, SamplerCard
from harness import registry
from harness.suites.fields import MOST_SEEDS, SIZE
from tasks.cards import TaskCard
from tasks.limits import LARGEST, MOST, SEED, SMALLEST, Each, Flag, Groups, Limit, Numbers, OneOf, Range, SomeOf
from tasks.protocol import Protocol
from tasks.settings import Setting, settings_of
from tasks.symmetry.names import GROUPS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SECTIONS = ("settings", "task_params", "base", "sampler")
PARTS = ("protocol", "seeds", "resources", *SECTIONS)
"""Keys that a suite, an experiment and an override can have."""

Schema = dict[str, Any]


def suite_schema() -> Schema:
    """The schema of suite files, with the tasks and methods that are registered here."""
    shared = {name: reference(name) for name in PARTS}
    experiment = {
        "tasks": _listed("task_pattern", "The tasks: names, globs such as teacher_*, or all."),
        "methods": _listed("method_pattern", "The methods: names, globs such as mlp-*, or all."),
        "grid": reference("grid"),
    }
    override = {"task": reference("task_pattern"), "method": reference("method_pattern")}
    suite: dict[str, Schema] = {
        "name": {"type": "string", "minLength": 1, "description": "The name; by default that of the file."},
        "description": {"type": "string"},
        **{name: reference(name) for name in ("plugins", "protocol", "seeds", "settings", "resources")},
        "experiments": {
            "type": "array",
            "minItems": 1,
            "items": mapping(shared | experiment, required=("tasks", "methods")),
            "description": "Each runs its tasks x methods x grid x seeds; pairs that do not fit are left out.",
        },
        "overrides": {
            "type": "array",
            "items": mapping(shared | override),
            "description": "Other choices for the pairs whose names match; the last match wins.",
        },
    }
    return {
        "$schema": DIALECT,
        "title": "A suite of symbench",
        **mapping(suite, required=("protocol", "experiments")),
        "$defs": definitions(),
    }


def definitions() -> dict[str, Schema]:
    """The ``$defs`` of the schemas of suites and searches."""
    tasks, methods = registry.tasks(), registry.methods()
    bases = {card.base.name: card.base for card in methods.values()}
    samplers = {card.sampler.name: card.sampler for card in methods.values() if card.sampler}
    sections = {
        "settings": mapping(
            {
                one.name: {**limit_schema(one.limit, one.default), "description": one.meaning}
                for one in settings_of(Protocol)
            }
        ),
        "task_params": _section(tasks.values()),
        "base": _section(bases.values()),
        "sampler": _section(samplers.values()),
    }
    protocols = list(dict.fromkeys(name for card in tasks.values() for name in card.protocols))
    axes = [f"{section}.{name}" for section, found in sections.items() for name in found["properties"]]
    values = {axis: f"{axis.replace('.', '/properties/')}" for axis in ("protocol", *axes)}
    return {
        "task": {"enum": list(tasks)},
        "method": {"enum": list(methods)},
        "task_pattern": _pattern(tasks),
        "method_pattern": _pattern(methods),
        "plugins": _plugins(),
        "protocol": {"enum": protocols, "description": "The protocol; symbench tasks lists their meanings."},
        "seeds": _seeds(),
        "resources": _resources(),
        **sections,
        "grid": mapping(
            {axis: {"type": "array", "minItems": 1, "items": reference(value)} for axis, value in values.items()},
        ),
    }


def limit_schema(limit: Limit | None, default: Any) -> Schema:
    """The values that a limit accepts; without one, those of the default's type. Accepts None if it is the default."""
    found = _of_type(default) if limit is None else _accepted(limit)
    return {"anyOf": [found, {"type": "null"}]} if found and default is None else found


def _accepted(limit: Any) -> Schema:
    match limit:
        case Range():
            return _range(limit)
        case Flag():
            return {"type": "boolean"}
        case OneOf():
            return {"enum": list(limit.names)}
        case SomeOf():
            return {"type": "array", "items": {"enum": list(limit.names)}}
        case Each():
            return {"type": "array", "maxItems": limit.most, "items": _range(limit.limit)}
        case Numbers():
            number = {"type": "integer", "minimum": limit.least, "maximum": LARGEST}
            return {"type": "array", "minItems": int(limit.some), "uniqueItems": True, "items": number}
        case Groups():
            return {"type": "array", "items": {"type": "string", "pattern": _group_names(limit.numbered_elsewhere)}}
        case _:  # a limit of another package
            return {}


def _range(limit: Range) -> Schema:
    bounds = {
        "minimum": limit.least,
        "exclusiveMinimum": limit.above,
        "maximum": limit.most,
        "exclusiveMaximum": limit.below,
    }
    found = {name: bound for name, bound in bounds.items() if bound is not None}
    if limit.above == 0 and not limit.whole:
        found = {"minimum": SMALLEST} | {name: bound for name, bound in found.items() if name != "exclusiveMinimum"}
    if limit.most is None and limit.below is None:
        found["maximum"] = LARGEST if limit.whole else MOST
    if limit.least is None and limit.above is None:
        found["minimum"] = -LARGEST if limit.whole else -MOST
    return {"type": "integer" if limit.whole else "number", **found}


def _group_names(numbered_elsewhere: bool) -> str:
    number = "(#|[1-9][0-9]*)" if numbered_elsewhere else "[1-9][0-9]*"
    return f"^({'|'.join(number.join(map(re.escape, name.split('#'))) for name in GROUPS)})$"


def _of_type(default: Any) -> Schema:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return {"type": kinds[type(default)]} if type(default) in kinds else {}


def _section(cards: Iterable[TaskCard | BaseCard | SamplerCard]) -> Schema:
    """The settings of several cards by name: a value is accepted if one of the cards with the setting accepts it."""
    by_name: dict[str, list[tuple[str, Setting]]] = {}
    for card in cards:
        for setting in settings_of(card.settings):
            by_name.setdefault(setting.name, []).append((card.name, setting))
    return mapping({name: _merged(found) for name, found in sorted(by_name.items())})


def _merged(found: list[tuple[str, Setting]]) -> Schema:
    """One schema for a name that several cards have; ``anyOf`` if they accept different values."""
    variants: dict[str, list[tuple[str, Setting]]] = {}
    for owner, setting in found:
        accepted = json.dumps(limit_schema(setting.limit, setting.default))
        variants.setdefault(accepted, []).append((owner, setting))
    described = [{**json.loads(accepted), "description": _about(same)} for accepted, same in variants.items()]
    return described[0] if len(described) == 1 else {"anyOf": described}


def _about(found: list[tuple[str, Setting]]) -> str:
    """The meaning of a setting and its default by owner, such as ``Width. Default: 64 (mlp, gin), 32 (gnn).``."""
    owners: dict[str, list[str]] = {}
    for owner, setting in found:
        owners.setdefault(json.dumps(setting.default), []).append(owner)
    defaults = ", ".join(f"{default} ({', '.join(names)})" for default, names in owners.items())
    meanings = dict.fromkeys(setting.meaning for _, setting in found if setting.meaning)
    return " ".join([*meanings, f"Default: {defaults}."])


def _resources() -> Schema:
    count = {"type": "integer", "minimum": 1}
    size = {"type": "string", "pattern": f"^{SIZE.pattern}$"}
    memory = [{"type": "number", "exclusiveMinimum": 0}, size, {"type": "null"}]
    seconds = {"type": "number", "exclusiveMinimum": 0}
    return mapping(
        {
            "cpus": {"type": "number", "minimum": 0, "description": "CPU cores of a run."},
            "gpus": {"type": "number", "minimum": 0, "maximum": 1, "description": "The share of a GPU of a run."},
            "memory": {"anyOf": memory, "description": "Memory of a run in bytes, or written like 2GiB."},
            "chunk": {
                "anyOf": [count, {"type": "null"}],
                "description": "Group samples computed at a time; fewer take less memory.",
            },
            "timeout": {"anyOf": [seconds, {"type": "null"}], "description": "Seconds after which a run fails."},
            "stack": {**count, "description": "Seeds of the same settings that are trained together."},
            "workers": {**count, "description": "Processes that share one run."},
            "keep_weights": {"type": "boolean", "description": "Keep the best weights of a run in the store."},
        }
    )


def _seeds() -> Schema:
    return {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS},
            {"type": "array", "minItems": 1, "uniqueItems": True, "items": limit_schema(SEED, 0)},
        ],
        "description": "A list of seeds, or their number, counted from 0.",
    }


def _plugins() -> Schema:
    path = {"type": "string"}
    return {
        "anyOf": [path, {"type": "array", "uniqueItems": True, "items": path}],
        "description": "Plug-in files, with paths relative to the folder of this file.",
    }


def _pattern(known: Mapping[str, Any]) -> Schema:
    return {"anyOf": [{"enum": ["all", *known]}, {"type": "string", "pattern": r"[*?\[]"}]}


def _listed(name: str, description: str) -> Schema:
    several = {"type": "array", "minItems": 1, "uniqueItems": True, "items": reference(name)}
    return {"anyOf": [reference(name), several], "description": description}


def mapping(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """The schema of a mapping that has no keys other than ``properties``."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "additionalProperties": False, **needed, "properties": dict(properties)}


def reference(name: str) -> Schema:
    """A reference to a schema in ``$defs``."""
    return {"$ref": f"#/$defs/{name}"}
