"""Sums over neighbours on one adjacency for K sets of node features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tasks.symmetry.structure import Structure


def aggregated(h: Tensor, adjacency: Tensor, eps: Tensor) -> Tensor:
    """A h + (1 + eps) h for node features ``[..., R, K, W]``; ``adjacency`` is ``[..., R, R]``, dense or sparse."""
    rows = h.flatten(-2)
    if not adjacency.is_sparse:
        return (rows * (1 + eps) + adjacency @ rows).view(h.shape)
    gathered: Tensor = _Aggregate.apply(rows, adjacency, eps)
    return gathered.view(h.shape)


class _Aggregate(torch.autograd.Function):
    """A h + (1 + eps) h for a sparse A ``[R, R]`` and h ``[R, W]``, without copies of h in between."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, adjacency: Tensor, eps: Tensor) -> Tensor:
        ctx.save_for_backward(h, adjacency, eps)
        return (h * (1 + eps)).addmm_(adjacency, h)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        h, adjacency, eps = ctx.saved_tensors
        through = (gradient * (1 + eps)).addmm_(adjacency.t(), gradient)
        return through, None, torch.dot(gradient.flatten(), h.flatten()).view_as(eps)


def sparse_adjacency(x: Structure, batch: Tensor, node: Tensor) -> Tensor:
    """``[R, R]``: of all graphs side by side; ``batch`` and ``node`` ``[R]`` say where each node stands."""
    place = torch.zeros_like(x.mask, dtype=torch.long)
    place[batch, node] = torch.arange(len(batch), device=batch.device)
    weights = x.adjacency
    graph, target, source = weights.nonzero(as_tuple=True)
    edges = torch.stack([place[graph, target], place[graph, source]])
    size = (len(batch), len(batch))
    return torch.sparse_coo_tensor(
        edges, weights[graph, target, source], size, check_invariants=False, is_coalesced=True
    )
