"""Where a run's settings depart from what the registry publishes under its protocol's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import registry
from harness.errors import SymbenchError
from harness.spec import NEUTRAL

_PARTS = ("base", "sampler", "settings")


def departures(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """Dotted name to value of every setting that was changed, whatever the seed; ``None`` where it cannot be told.

    That is so for a task or method that is not registered here, or that had another version when it ran.
    """
    try:
        published = registry.resolve(
            spec["task"], spec["method"], spec["protocol"], seed=0, task_params=spec["task_params"]
        ).to_dict()
    except SymbenchError:
        return None
    if any(published[name] != spec[name] for name in ("task_version", "method_version")):
        return None
    return {
        f"{part}.{name}": value
        for part in _PARTS
        for name, value in _with_later(part, spec[part], published[part]).items()
        if name not in published[part] or published[part][name] != value
    }


def _with_later(part: str, own: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings with those that came after it, at the value that it ran with."""
    return {**{name: value for name, value in NEUTRAL.get(part, {}).items() if name in published}, **own}
