"""Shapes that follow what is computed on: what is in a tensor, and how large a cache is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CACHED = 2**18  # entries of what a CPU keeps at hand from one operator to the next


def may_follow_data(values: Tensor) -> bool:
    """Whether code may look at ``values`` to leave out what does not exist: in eager mode on the CPU.

    An accelerator would have to be waited for, and neither ``torch.compile`` nor ``torch.func.vmap`` allows it: there
    the same numbers are computed in shapes that are known beforehand.
    """
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(values)


def in_cache(values: Tensor, entries: int) -> list[slice]:
    """Of the M rows of ``values`` so many at a time that ``entries`` of each stay in the cache of a CPU.

    Elsewhere all at once.
    """
    step = max(1, CACHED // entries) if may_follow_data(values) else max(1, len(values))
    return [slice(start, start + step) for start in range(0, len(values), step)]


def rejoined(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The parts of :func:`in_cache` one behind the other; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), axis)
