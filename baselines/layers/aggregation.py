"""Sums over neighbours for K sets of node features with the same adjacency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from baselines.layers.sparse_linear import Entries


@dataclass(frozen=True)
class Edges:
    """A sparse block-diagonal adjacency A ``[R, R]`` of several graphs.

    Every row has a diagonal entry, of weight zero if the node has no self-loop, so that A + (1 + eps) I has the same
    sparsity pattern as A.

    Attributes:
        entries: The entries of A, row by row.
        loop: One for diagonal entries, otherwise zero.
        transposed: The entries of the transpose of A.
        transposed_loop: As ``loop``, for the transpose.
    """

    entries: Entries
    loop: Tensor
    transposed: Entries
    transposed_loop: Tensor

    @staticmethod
    def of(adjacency: Tensor, mask: Tensor, isolated: int = 0) -> Edges:
        """The adjacency of the existing nodes of all graphs, in order.

        Args:
            adjacency: ``[B, N, N]``.
            mask: True for nodes that exist, ``[B, N]``.
            isolated: Number of rows without neighbours to append.
        """
        return Edges(*_side_by_side(adjacency, mask, isolated), *_side_by_side(adjacency.mT, mask, isolated))

    def product(self, h: Tensor, eps: Tensor) -> Tensor:
        """A h + (1 + eps) h for ``h`` ``[R, W]``."""
        return _with_loops(self.entries, self.loop, eps).product(h)

    def transposed_product(self, h: Tensor, eps: Tensor) -> Tensor:
        """A^T h + (1 + eps) h for ``h`` ``[R, W]``."""
        return _with_loops(self.transposed, self.transposed_loop, eps).product(h)


def _with_loops(entries: Entries, loop: Tensor, eps: Tensor) -> Entries:
    return Entries(entries.columns, torch.addcmul(entries.values, loop, 1 + eps), entries.begin)


def _side_by_side(adjacency: Tensor, mask: Tensor, isolated: int) -> tuple[Entries, Tensor]:
    """The entries of all graphs, and one for those on the diagonal."""
    place = mask.flatten().cumsum(0).view_as(mask) - 1
    there = (adjacency != 0) | torch.diag_embed(mask)
    graph, target, source = there.nonzero(as_tuple=True)
    rows, loop = place[graph, target], (target == source).to(adjacency.dtype)
    alone = torch.arange(isolated, device=mask.device) + mask.sum()
    counts = pad(rows.bincount(), (0, isolated), value=1)
    entries = Entries(
        torch.cat([place[graph, source], alone]),
        pad(adjacency[graph, target, source], (0, isolated)),
        counts.cumsum(0) - counts,
    )
    return entries, pad(loop, (0, isolated), value=1.0)


def aggregated(h: Tensor, adjacency: Tensor | Edges, eps: Tensor) -> Tensor:
    """A h + (1 + eps) h for node features ``[..., R, K, W]``; a dense ``adjacency`` is ``[..., R, R]``."""
    rows = h.flatten(-2)
    if isinstance(adjacency, Tensor):
        return (rows * (1 + eps) + adjacency @ rows).view(h.shape)
    gathered: Tensor = _Aggregate.apply(rows.contiguous(), adjacency, eps)
    return gathered.view(h.shape)


class _Aggregate(torch.autograd.Function):
    """A h + (1 + eps) h for a sparse A ``[R, R]`` and h ``[R, W]``, in one pass."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, edges: Edges, eps: Tensor) -> Tensor:
        ctx.save_for_backward(h, eps)
        ctx.edges = edges
        return edges.product(h, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        h, eps = ctx.saved_tensors
        through = ctx.edges.transposed_product(gradient, eps) if ctx.needs_input_grad[0] else None
        return through, None, torch.dot(gradient.flatten(), h.flatten()).view_as(eps)
