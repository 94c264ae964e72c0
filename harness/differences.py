"""Differences between settings as text: ``nodes=8, lr=0.001``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from harness.spec import without_seed

_ABSENT = object()


def describe(values: Mapping[str, Any]) -> str:
    """``{"base.width": 64, "settings.lr": 0.1}`` as ``width=64, lr=0.1``; whole paths if two short names are equal."""
    short = Counter(path.rsplit(".", 1)[-1] for path in values)
    named = ((path if short[tail := path.rsplit(".", 1)[-1]] > 1 else tail, values[path]) for path in sorted(values))
    return ", ".join(f"{name}={_plain(value)}" for name, value in named)


def changes(spec: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The settings of ``other`` that differ from ``spec``, without the seed: ``there lr=0.1``."""
    flat_specs = [flat(without_seed(one)) for one in (spec, other)]
    there = {path: flat_specs[1].get(path, "absent") for path in differing(flat_specs)}
    return f"there {describe(there)}" if there else ""


def differing(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """The paths at which the flat ``settings`` are not all equal."""
    settings = list(settings)
    if len(settings) < 2:
        return []
    paths = sorted({path for values in settings for path in values})
    first = settings[0]
    return [p for p in paths if any(values.get(p, _ABSENT) != first.get(p, _ABSENT) for values in settings[1:])]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested mappings to one with dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
