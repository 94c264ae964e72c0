"""Shapes that depend on data or on the size of a CPU's cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Part:
    """Some of M rows, given by their indices, with at most ``nodes`` nodes each."""

    rows: Tensor | slice
    nodes: int

    def matrices(self, values: Tensor) -> Tensor:
        """The part ``[m, n, n]`` of matrices ``[M, N, N]``."""
        if isinstance(self.rows, slice):
            return values[self.rows, : self.nodes, : self.nodes]
        return values[:, : self.nodes, : self.nodes].index_select(0, self.rows)

    def vectors(self, values: Tensor) -> Tensor:
        """The part ``[m, n]`` of vectors ``[M, N]``."""
        return values[self.rows, : self.nodes]


def by_size(mask: Tensor) -> list[Part]:
    """Splits rows into parts of similar size whose matrices fit into a CPU's cache.

    Args:
        mask: Which nodes exist, ``[M, N]``; those of a row come first.

    Returns:
        The parts, largest rows first; a single one if shapes may not follow data (see :func:`may_follow_data`).
    """
    count, nodes = mask.shape
    if not may_follow_data(mask):
        return [Part(slice(0, count), nodes)]
    sizes, order = mask.sum(-1).sort(descending=True, stable=True)
    largest = sizes.tolist()
    if largest[:1] == largest[-1:]:
        step = max(1, CACHED // max(1, nodes**2))
        return [Part(slice(start, min(start + step, count)), nodes) for start in range(0, count, step)]
    parts, start = [], 0
    while start < count:
        size = max(1, largest[start])
        stop = min(count, start + max(1, CACHED // size**2))
        parts.append(Part(order[start:stop], size))
        start = stop
    return parts


def put_together(results: Sequence[Tensor], parts: Sequence[Part], shape: Sequence[int]) -> Tensor:
    """Joins the results of the parts of :func:`by_size`.

    Args:
        results: The result of each part, ``[m, n]`` or ``[m, n, n]``.
        parts: The parts.
        shape: The shape of the joined result, ``[M, N]`` or ``[M, N, N]``.

    Returns:
        The joined result, zero for nodes that do not exist. The result of a single part is returned without a copy.
    """
    if len(results) == 1 and isinstance(parts[0].rows, slice):
        return results[0]
    whole = results[0].new_zeros(shape)
    for part, result in zip(parts, results, strict=True):
        whole[(part.rows, *[slice(part.nodes)] * (len(shape) - 1))] = result
    return whole
