"""Permuting by gather, with the gradient of a permutation matrix M_g Q (or Q^T M_g^-1) for a soft identity Q.

The straight-through matrix P = P_hard - stop_gradient(P_soft) + P_soft has the value P_hard and passes its gradient
on to P_soft (Bengio et al. 2013; Kim et al. 2023, section 2.2). Writing P_soft as a hard permutation times a soft
identity Q turns every matrix product of the forward pass into a gather.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def permute_nodes(
    values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor | None, relaxes_target: bool
) -> Tensor:
    """``out[b, k, g(j)] = values[b, k, j]`` for values ``[B, K or 1, N, ...]``."""
    flat = values.flatten(3)
    if relaxation is None or not torch.is_grad_enabled():
        moved = _gather_nodes(flat, preimages)
    else:
        moved = _PermuteNodes.apply(flat, images, preimages, relaxation, relaxes_target)
    return moved.reshape(*moved.shape[:3], *values.shape[3:])


def permute_edges(
    values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor | None, relaxes_target: bool
) -> Tensor:
    """``out[b, k, g(i), g(j)] = values[b, k, i, j]`` for values ``[B, K or 1, N, N, E]``."""
    if relaxation is None or not torch.is_grad_enabled():
        return _gather_edges(values, preimages)
    return _PermuteEdges.apply(values, images, preimages, relaxation, relaxes_target)


def _gather_nodes(values: Tensor, index: Tensor) -> Tensor:
    samples = max(index.shape[1], values.shape[1])
    places = index[..., None].expand(-1, samples, -1, values.shape[-1])
    return values.expand(-1, samples, -1, -1).gather(2, places)


def _gather_edges(values: Tensor, index: Tensor) -> Tensor:
    nodes = index.shape[-1]
    pairs = (index[..., :, None] * nodes + index[..., None, :]).flatten(2)
    return _gather_nodes(values.flatten(2, 3), pairs).unflatten(2, (nodes, nodes))


def _sum_to(gradient: Tensor, samples: int) -> Tensor:
    return gradient.sum(1, keepdim=True) if samples == 1 else gradient


class _PermuteNodes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor, relaxes_target: bool
    ) -> Tensor:
        out = _gather_nodes(values, preimages)
        ctx.save_for_backward(images, out if relaxes_target else values)
        ctx.relaxes_target = relaxes_target
        ctx.samples = values.shape[1]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        images, kept = ctx.saved_tensors
        pulled = None if ctx.relaxes_target and not ctx.needs_input_grad[0] else _gather_nodes(gradient, images)
        values_gradient = _sum_to(pulled, ctx.samples) if pulled is not None and ctx.needs_input_grad[0] else None
        if ctx.relaxes_target:  # out = Q^T (M values): dQ = (M values) gradient^T
            relaxation_gradient = kept @ gradient.mT
        else:  # out = M (Q values): dQ = (M^T gradient) values^T
            assert pulled is not None
            relaxation_gradient = pulled @ kept.mT
        return values_gradient, None, None, relaxation_gradient, None


class _PermuteEdges(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor, relaxes_target: bool
    ) -> Tensor:
        out = _gather_edges(values, preimages)
        ctx.save_for_backward(images, out if relaxes_target else values)
        ctx.relaxes_target = relaxes_target
        ctx.samples = values.shape[1]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        images, kept = ctx.saved_tensors
        needs_values = ctx.needs_input_grad[0]
        pulled = _gather_edges(gradient, images) if needs_values or not ctx.relaxes_target else None
        values_gradient = _sum_to(pulled, ctx.samples) if pulled is not None and needs_values else None
        if ctx.relaxes_target:  # out = Q^T Y Q with Y = M values M^T
            left, right = (kept.movedim(-1, 2), gradient.movedim(-1, 2))
        else:  # out = M (Q values Q^T) M^T: dQ transposed against the case above
            assert pulled is not None
            left, right = (pulled.movedim(-1, 2), kept.movedim(-1, 2))
        relaxation_gradient = (left @ right.mT + left.mT @ right).sum(2)
        return values_gradient, None, None, relaxation_gradient, None
