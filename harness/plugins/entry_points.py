"""Installed packages with unreadable entry points, on which libraries fail that read those of all packages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import metadata

DISABLE_PLUGINS = {"PYDANTIC_DISABLE_PLUGINS": "__all__", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
"""Environment variables that make libraries load no plug-ins, here and in child processes."""


def check_entry_points() -> str | None:
    """Returns a warning if entry points cannot be read, or None; libraries then load no plug-ins."""
    damaged = list(dict.fromkeys(_damaged()))
    if not damaged:
        return None
    for name, value in DISABLE_PLUGINS.items():
        os.environ.setdefault(name, value)
    return (
        f"The entry_points.txt of {', '.join(damaged)} cannot be read, so libraries do not load their plug-ins, "
        "and MLflow may not be usable: reinstall or remove the damaged packages."
    )


def _damaged() -> Iterator[str]:
    for distribution in metadata.distributions():
        try:
            _ = distribution.entry_points
        except Exception:  # a line without an equals sign, another encoding, ...
            yield _named(distribution)


def _named(distribution: metadata.Distribution) -> str:
    try:
        return f"{distribution.metadata['Name']} {distribution.version}"
    except Exception:  # damaged metadata may raise any error
        return str(distribution.locate_file(""))
