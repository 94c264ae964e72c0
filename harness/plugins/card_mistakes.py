"""What is wrong with a call that should make a card, from Python's error (no torch)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields

from baselines.cards import BaseCard, MethodCard, SamplerCard
from harness.utils.text import nearest
from tasks.cards import Recipe, TaskCard
from tasks.protocol import Protocol

CLASSES: Mapping[str, type] = {
    kind.__name__: kind for kind in (TaskCard, BaseCard, SamplerCard, MethodCard, Recipe, Protocol)
}
EXAMPLES: Mapping[str, str] = {
    "name": "'mynet'",
    "implementation": "'mypackage.module:Class'",
    "writes": "frozenset({'graph_scalars'})",
    "group": "('S_n', 'O(3)')",
    "inputs": "frozenset({'points', 'edges'})",
    "output": "'graph_scalars'",
    "metric": "'mse'",
    "direction": "'min'",
    "protocols": "{'quick': Protocol(epochs=2)}",
    "max_nodes": "lambda settings: 20",
    "base": "a BaseCard",
}
"""A value of each field that has no default."""
_CALL = re.compile(r"(\w+)\.__init__\(\) (.*)")
_QUOTED = re.compile(r"'(\w+)'")


def card_mistake(error: BaseException) -> str | None:
    """Returns which field a card lacks or does not have, as a clause; None for other errors."""
    found = _CALL.fullmatch(str(error)) if isinstance(error, TypeError) else None
    if found is None or found[1] not in CLASSES:
        return None
    kind, names = CLASSES[found[1]], _QUOTED.findall(found[2])
    known = [field.name for field in fields(kind)]
    if "missing" in found[2]:
        wanted = " and ".join(f"'{name}', such as {name}={EXAMPLES[name]}" for name in names if name in EXAMPLES)
        return f"a {kind.__name__} needs {wanted}"
    if "unexpected" in found[2]:
        return f"a {kind.__name__} has no field '{names[0]}': {nearest(names[0], known)}"
    return f"the fields of a {kind.__name__} are given by name, such as {known[0]}=..."
