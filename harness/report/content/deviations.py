"""How the settings of a run deviate from those that the registry has for its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import registry
from harness.errors import SymbenchError
from harness.spec import NEUTRAL

_PARTS = ("base", "sampler", "settings")


def deviations(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings that were changed, apart from the seed, by dotted name such as ``settings.lr``.

    Args:
        spec: A run's specification, as :meth:`harness.spec.RunSpec.to_dict` gives it.

    Returns:
        The changed settings with their values, or None if they are not known: the task or method is not registered, or
        has another version now.
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
    """A run's settings, and those that were added later, with the value that stands for how it ran."""
    return {**{name: value for name, value in NEUTRAL.get(part, {}).items() if name in published}, **own}
