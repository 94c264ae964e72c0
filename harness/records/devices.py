"""The device of a run. Costs on different devices are never averaged, fitted or compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def device_of(provenance: Mapping[str, Any]) -> str | None:
    """The device that a record names: its model and the share of it that the run had.

    Args:
        provenance: The provenance of a record.

    Returns:
        The model with the number of threads of a processor (``AMD EPYC, 2 threads``), or with the number of
        accelerators of all processes of the run (``NVIDIA H100``, ``4 x NVIDIA H100``; 0.5 if two runs shared one).
        None if the record names no device, as those of failed workers.
    """
    model = provenance.get("device")
    if not isinstance(model, str) or not model.strip():
        return None
    resources = provenance.get("resources")
    granted = resources if isinstance(resources, Mapping) else {}
    count = _positive(granted.get("workers")) or 1
    threads = None
    if provenance.get("device_type") in (None, "cpu"):
        threads = _positive(provenance.get("threads"))
    else:
        count *= _positive(granted.get("gpus")) or 1
    name = model.strip() if count == 1 else f"{count:g} x {model.strip()}"
    return name if threads is None else f"{name}, {threads:g} thread{'s' * (threads != 1)}"


def _positive(value: Any) -> float | None:
    """The value if it is a finite number above 0, else None: records may contain anything."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < math.inf else None
