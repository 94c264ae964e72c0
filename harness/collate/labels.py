"""What tells rows of one method apart, in words: ``nodes=8, lr=0.001``."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

_ABSENT = object()


def setting_labels(runs: pl.DataFrame) -> pl.DataFrame:
    """Columns ``setting`` and ``setting_label``: null where a method ran in one setting only.

    Task parameters are compared over all methods of a task, everything else within task x protocol x method.
    """
    specs = runs.select("task", "protocol", "method", "setting", "source", "spec_json").unique("setting", keep="any")
    by_task: defaultdict[tuple[str, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    by_method: defaultdict[tuple[str, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    for task, protocol, method, setting, source, spec_json in specs.iter_rows():
        spec = json.loads(spec_json)
        by_task[task,][setting] = _flat({"task_params": spec.get("task_params", {})})
        by_method[task, protocol, method][setting] = _flat(
            {name: value for name, value in spec.items() if name not in ("seed", "task_params")}
            | ({} if source is None else {"source": source})
        )
    parts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for settings in (*by_task.values(), *by_method.values()):
        differing = _differing(settings.values())
        for setting, values in settings.items():
            parts[setting] |= {path: values[path] for path in differing if path in values}
    labels = {setting: describe(values) or None for setting, values in sorted(parts.items())}
    return pl.DataFrame(
        {"setting": list(labels), "setting_label": list(labels.values())},
        schema={"setting": pl.String, "setting_label": pl.String},
    )


def describe(values: Mapping[str, Any]) -> str:
    """``{"base.width": 64, "settings.lr": 0.1}`` as ``width=64, lr=0.1``; whole paths where two would read the same."""
    short = Counter(path.rsplit(".", 1)[-1] for path in values)
    named = ((path if short[tail := path.rsplit(".", 1)[-1]] > 1 else tail, values[path]) for path in sorted(values))
    return ", ".join(f"{name}={_plain(value)}" for name, value in named)


def changes(spec: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In which settings ``other`` is not ``spec``, seeds aside: ``there lr=0.1``."""
    flat = [_flat({name: value for name, value in one.items() if name != "seed"}) for one in (spec, other)]
    differing = _differing(flat)
    there = {path: flat[1].get(path, "absent") for path in differing}
    return f"there {describe(there)}" if there else ""


def _differing(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    settings = list(settings)
    if len(settings) < 2:
        return []
    paths = sorted({path for values in settings for path in values})
    first = settings[0]
    return [p for p in paths if any(values.get(p, _ABSENT) != first.get(p, _ABSENT) for values in settings[1:])]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
