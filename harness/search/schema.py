"""A JSON schema (draft 2020-12) of search files, with which editors complete and check them (no torch)."""

from __future__ import annotations

from harness.search.validation import ALGORITHMS, SCHEDULERS, UNSEEN, VARIED
from harness.suites.schema import DIALECT, SECTIONS, Schema, definitions, limit_schema, mapping, reference
from tasks.limits import SEED


def search_schema() -> Schema:
    """The schema of search files, with the tasks and methods that are registered here."""
    shared = definitions()
    del shared["task_pattern"], shared["method_pattern"], shared["seeds"]
    axes = [name for name in shared.pop("grid")["properties"] if _varied(name)]
    count = {"type": "integer", "minimum": 1}
    search = {
        "name": {"type": "string", "pattern": r"^\w[\w.-]*$", "description": "The name; by default that of the file."},
        "description": {"type": "string"},
        **{name: reference(name) for name in ("plugins", "task", "method", "protocol", "resources", *SECTIONS)},
        "space": {**mapping({axis: reference("dimension") for axis in axes}), "minProperties": 1},
        "metric": {"type": ["string", "null"], "description": "A metric of the validation set; null: the task's."},
        "trials": {**count, "description": "How many runs the search makes."},
        "algorithm": {"enum": list(ALGORITHMS), "description": "How points of the space are proposed."},
        "scheduler": {"enum": list(SCHEDULERS), "description": "How trials are stopped early."},
        "grace": {**count, "description": "No trial is stopped before this epoch."},
        "reduction": {
            "type": "number",
            "exclusiveMinimum": 1,
            "description": "One in this many trials survives a round of asha.",
        },
        "seed": {**limit_schema(SEED, 0), "description": "The seed of every trial."},
        "compare": {
            "type": "integer",
            "minimum": 0,
            "description": "On how many other seeds the best trial is compared with the default; 0: not at all.",
        },
        "confirm": {
            "type": "integer",
            "minimum": 2,
            "description": "How many other seeds the suite with the best trial has.",
        },
    }
    return {
        "$schema": DIALECT,
        "title": "A search of symbench",
        **mapping(search, required=("task", "method", "protocol", "space", "trials")),
        "$defs": {**shared, "dimension": _dimension()},
    }


def _varied(axis: str) -> bool:
    section, _, name = axis.partition(".")
    return section in VARIED and not (section == "settings" and name.startswith(UNSEEN))


def _dimension() -> Schema:
    def bounds(kind: str) -> Schema:
        return {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": kind}}

    def positive(kind: str) -> Schema:
        return {**bounds(kind), "items": {"type": kind, "exclusiveMinimum": 0}}

    kinds = {
        "uniform": bounds("number"),
        "loguniform": positive("number"),
        "integer": bounds("integer"),
        "loginteger": positive("integer"),
        "choice": {"type": "array", "minItems": 1},
    }
    return {**mapping(kinds), "minProperties": 1, "maxProperties": 1}
