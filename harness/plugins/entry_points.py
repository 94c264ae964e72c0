"""Installed packages whose list of entry points cannot be read: whoever asks for those of all packages fails on one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import metadata

UNASKED = {"PYDANTIC_DISABLE_PLUGINS": "__all__", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
"""What keeps libraries from asking, in this process and in those that it starts."""


def read_past_damage() -> str | None:
    """One warning that names what cannot be read, where there is any: then libraries look for no plug-ins of theirs."""
    damaged = list(dict.fromkeys(_damaged()))
    if not damaged:
        return None
    for name, value in UNASKED.items():
        os.environ.setdefault(name, value)
    return (
        f"The entry_points.txt of {', '.join(damaged)} cannot be read, so libraries are told not to look for plug-ins, "
        "and MLflow may not be usable: reinstall or remove what is damaged."
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
    except Exception:  # whatever damaged metadata makes of it
        return str(distribution.locate_file(""))
