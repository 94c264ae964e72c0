"""Labels for the settings of a method, as columns of the tables."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import polars as pl

from harness.differences import describe, differing, flat
from harness.spec import without_neutral


def setting_labels(runs: pl.DataFrame) -> pl.DataFrame:
    """Labels each setting by the values that distinguish it.

    Task parameters are compared over all methods of a task, other settings within a task, protocol and method.

    Args:
        runs: The table ``runs``.

    Returns:
        Columns ``setting`` and ``setting_label``, which is null if a method ran in one setting only.
    """
    specs = runs.select("task", "protocol", "method", "setting", "source", "spec_json").unique("setting", keep="any")
    by_task: defaultdict[tuple[str, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    by_method: defaultdict[tuple[str, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    for task, protocol, method, setting, source, spec_json in specs.iter_rows():
        spec = without_neutral(json.loads(spec_json))
        by_task[task,][setting] = flat({"task_params": spec.get("task_params", {})})
        by_method[task, protocol, method][setting] = flat(
            {name: value for name, value in spec.items() if name != "task_params"}
            | ({} if source is None else {"source": source})
        )
    parts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for settings in (*by_task.values(), *by_method.values()):
        paths = differing(settings.values())
        for setting, values in settings.items():
            parts[setting] |= {path: values[path] for path in paths if path in values}
    labels = {setting: describe(values) or None for setting, values in sorted(parts.items())}
    return pl.DataFrame(
        {"setting": list(labels), "setting_label": list(labels.values())},
        schema={"setting": pl.String, "setting_label": pl.String},
    )
