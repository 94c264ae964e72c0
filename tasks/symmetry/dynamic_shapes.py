"""Shapes that follow what is computed on: what is in a tensor, and how large a cache is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Part:
    """Some of M rows, by their places, that have ``nodes`` nodes at most."""

    rows: Tensor | slice
    nodes: int

    def matrices(self, values: Tensor) -> Tensor:
        """``[m, n, n]`` of ``[M, N, N]``: these rows, as large as they are."""
        if isinstance(self.rows, slice):
            return values[self.rows, : self.nodes, : self.nodes]
        return values[:, : self.nodes, : self.nodes].index_select(0, self.rows)

    def vectors(self, values: Tensor) -> Tensor:
        """``[m, n]`` of ``[M, N]``."""
        return values[self.rows, : self.nodes]


def by_size(mask: Tensor) -> list[Part]:
    """The rows of ``mask`` ``[M, N]``, whose first entries are true, in order of how many: those of one part are alike.

    As many at a time as have matrices that stay in the cache of a CPU. Elsewhere all at once.
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
    """``[M, N]`` or ``[M, N, N]``, as ``shape`` says, of what was computed of each part, zero where there is no node.

    That of a single part in the order of the rows, which has all of them, is not copied.
    """
    if len(results) == 1 and isinstance(parts[0].rows, slice):
        return results[0]
    whole = results[0].new_zeros(shape)
    for part, result in zip(parts, results, strict=True):
        whole[(part.rows, *[slice(part.nodes)] * (len(shape) - 1))] = result
    return whole
