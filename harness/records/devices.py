"""What a run was computed on. Costs of two devices are never averaged, fitted or held against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def device_of(provenance: Mapping[str, Any]) -> str | None:
    """``AMD EPYC, 2 threads``, ``NVIDIA H100``, ``4 x NVIDIA H100``: the model and how much of it one run had.

    That is the number of threads of a processor, and of accelerators (0.5 where two runs shared one), times the
    processes that trained a run together. ``None`` where the record names no device, as those of failed workers.
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
    """A number above 0 of a record, which anybody may have written."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < math.inf else None
