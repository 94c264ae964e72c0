"""Sorting nodes by scores, and the entropy of soft permutations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tasks.symmetry.dynamic_shapes import by_size, put_together

ENTRY_FLOOR = 1e-12


def sort_descending(scores: Tensor, mask: Tensor) -> Tensor:
    """Sorts nodes by score.

    Args:
        scores: ``[..., N]``.
        mask: True for nodes that exist, broadcastable to ``scores``.

    Returns:
        Indices of nodes in descending order of score, int64 ``[..., N]``. Ties keep their order, and absent nodes
        stay at their places at the end.
    """
    return scores.masked_fill(~mask, -torch.inf).argsort(dim=-1, descending=True, stable=True)


def permutation_entropy(soft: Tensor, mask: Tensor) -> Tensor:
    """The entropy of rows plus that of columns of soft permutations, the regulariser of Kim et al. (2023).

    Entries are clamped at 1e-12, and rows and columns are renormalised.

    Args:
        soft: Doubly stochastic matrices ``[M, N, N]``.
        mask: True for nodes that exist, ``[M, N]``.

    Returns:
        The mean over structures and nodes, a scalar in nats.
    """
    return _PermutationEntropy.apply(soft, mask)[0]


class _PermutationEntropy(torch.autograd.Function):
    """The entropy -sum (p / t) log (p / t) = log t - (sum p log p) / t of rows and columns of total t.

    Rows and columns share one p log p, and the gradient with respect to p is linear in log p: three passes over the
    matrices, where automatic differentiation takes a dozen. The further outputs are the slopes and offsets of that
    linear function, for the backward pass.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(soft: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        keep, parts = mask.to(soft.dtype), by_size(mask)
        weight = keep / keep.sum(-1, keepdim=True) / len(keep)  # of each node in the mean
        found = [_entropy(part.matrices(soft), part.vectors(keep), part.vectors(weight)) for part in parts]
        entropies, *lines = zip(*found, strict=True)
        return torch.stack(entropies).sum(), *(put_together(line, parts, mask.shape) for line in lines)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        soft, mask, *lines = ctx.saved_tensors
        parts = by_size(mask)
        found = [_entropy_gradient(part.matrices(soft), *map(part.vectors, lines)) for part in parts]
        return put_together(found, parts, soft.shape).mul_(gradients[0]), None


def _entropy(soft: Tensor, keep: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """The entropy (a scalar), and slope and offset of the gradient along rows and along columns."""
    entries = soft.clamp_min(ENTRY_FLOOR).mul_(keep[:, :, None]).mul_(keep[:, None])
    products = entries.clamp_min(ENTRY_FLOOR).log_().mul_(entries)
    entropy = soft.new_zeros(())
    lines = []
    for axis in (-1, -2):
        total, product = entries.sum(axis) + (1 - keep), products.sum(axis)
        entropy = entropy + (weight * (total.log() - product / total)).sum()
        # d/dp = (1 - log p - 1) / t + (sum p log p) / t^2, each times the weight
        lines += [weight / total, weight * product / total.square()]
    return entropy, *lines


def _entropy_gradient(
    soft: Tensor, row_slope: Tensor, row_offset: Tensor, column_slope: Tensor, column_offset: Tensor
) -> Tensor:
    logs, slope = soft.clamp_min(ENTRY_FLOOR).log_(), row_slope[:, :, None] + column_slope[:, None]
    gradient = torch.addcmul(row_offset[:, :, None] + column_offset[:, None], slope, logs, value=-1)
    return gradient.mul_(soft >= ENTRY_FLOOR)
