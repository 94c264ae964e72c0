"""Shapes that depend on data or on the size of a CPU's cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CACHED = 2**18  # entries that stay in a CPU's cache from one operator to the next


def may_follow_data(values: Tensor) -> bool:
    """Returns True if shapes may depend on the contents of ``values``: in eager mode on the CPU.

    With an accelerator the host would wait for the device, and ``torch.compile`` and ``torch.func.vmap`` do not allow
    it. There the same numbers are computed with fixed shapes, padding included.
    """
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(values)


def in_cache(values: Tensor, entries: int) -> list[slice]:
    """Splits rows into blocks that fit into a CPU's cache.

    Args:
        values: The tensor to split along its first axis, ``[M, ...]``.
        entries: Number of intermediate entries that each row needs.

    Returns:
        Slices of the first axis; a single one if shapes may not follow data (see :func:`may_follow_data`).
    """
    step = max(1, CACHED // entries) if may_follow_data(values) else max(1, len(values))
    return [slice(start, start + step) for start in range(0, len(values), step)]


def rejoined(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Concatenates the parts of :func:`in_cache` along ``axis``; a single part is returned without a copy."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), axis)
