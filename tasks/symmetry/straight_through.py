"""Permuting by gather, with the gradient of a permutation matrix M_g Q (or Q^T M_g^-1) for a soft identity Q.

The straight-through matrix P = P_hard - stop_gradient(P_soft) + P_soft has the value P_hard and passes its gradient
on to P_soft (Bengio et al. 2013; Kim et al. 2023, section 2.2). Writing P_soft as a hard permutation times a soft
identity Q turns every matrix product of the forward pass into a gather.
"""

from __future__ import annotations

from collections.abc import Callable
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
        moved = _Permute.apply(flat, images, preimages, relaxation, relaxes_target)
    return moved.reshape(*moved.shape[:3], *values.shape[3:])


def permute_edges(
    values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor | None, relaxes_target: bool
) -> Tensor:
    """``out[b, k, g(i), g(j)] = values[b, k, i, j]`` for values ``[B, K or 1, N, N, E]``."""
    if relaxation is None or not torch.is_grad_enabled():
        return _gather_edges(values, preimages)
    return _Permute.apply(values, images, preimages, relaxation, relaxes_target)


def _gather_nodes(values: Tensor, index: Tensor) -> Tensor:
    samples = max(index.shape[1], values.shape[1])
    places = index[..., None].expand(-1, samples, -1, values.shape[-1])
    return values.expand(-1, samples, -1, -1).gather(2, places)


def _gather_edges(values: Tensor, index: Tensor) -> Tensor:
    nodes = index.shape[-1]
    pairs = (index[..., :, None] * nodes + index[..., None, :]).flatten(2)
    return _gather_nodes(values.flatten(2, 3), pairs).unflatten(2, (nodes, nodes))


class _Permute(torch.autograd.Function):
    """Nodes ``[B, K or 1, N, C]`` or, told by their number of axes, edges ``[B, K or 1, N, N, E]``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor, relaxes_target: bool) -> Tensor:
        return _gather(values)(values, preimages)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        values, images, _, _, ctx.relaxes_target = inputs
        ctx.samples = values.shape[1]
        ctx.save_for_backward(images, output if ctx.relaxes_target else values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        images, kept = ctx.saved_tensors
        needs_values = ctx.needs_input_grad[0]
        # M^T times the gradient; where Q acts on what is permuted already, its own gradient does without.
        pulled = _gather(gradient)(gradient, images) if needs_values or not ctx.relaxes_target else None
        values_gradient = None
        if pulled is not None and needs_values:
            values_gradient = pulled.sum(1, keepdim=True) if ctx.samples == 1 else pulled
        if ctx.relaxes_target:
            relaxation_gradient = _relaxation_gradient(kept, gradient)
        else:
            assert pulled is not None
            relaxation_gradient = _relaxation_gradient(pulled, kept)
        return values_gradient, None, None, relaxation_gradient, None


def _gather(values: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return _gather_nodes if values.dim() == 4 else _gather_edges


def _relaxation_gradient(left: Tensor, right: Tensor) -> Tensor:
    """Gradient of Q ``[B, K, N, N]`` at the identity.

    Nodes: out = Q^T y gives y G^T (left y, right G) and out = Q v gives G v^T (left G, right v). Edges, permuted on
    both sides: out = Q^T Y Q gives Y G^T + Y^T G, out = Q V Q^T gives G V^T + G^T V, summed over channels, which the
    products do.
    """
    if left.dim() == 4:
        return left @ right.mT
    turned = left.transpose(2, 3).flatten(3) @ right.transpose(2, 3).flatten(3).mT
    return left.flatten(3) @ right.flatten(3).mT + turned
