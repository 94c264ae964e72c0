"""Sorting nodes by scores, and the entropy of soft permutations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tasks.symmetry.dynamic_shapes import in_cache, rejoined

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
    matrices, where automatic differentiation takes a dozen. The further outputs are log p and the slopes and offsets
    of that linear function, for the backward pass.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(soft: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        keep = mask.to(soft.dtype)
        weight = keep / keep.sum(-1, keepdim=True) / len(keep)  # of each node in the mean
        each = in_cache(soft, soft.shape[-1] ** 2)
        parts = [_entropy(soft[part], keep[part], weight[part]) for part in each]
        entropies, *others = zip(*parts, strict=True)
        return torch.stack(entropies).sum(), *map(rejoined, others)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        soft, _ = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(soft, *output[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        soft, *lines = ctx.saved_tensors
        each = in_cache(soft, soft.shape[-1] ** 2)
        parts = [_entropy_gradient(soft[part], *(line[part] for line in lines)) for part in each]
        return rejoined(parts).mul_(gradients[0]), None


def _entropy(soft: Tensor, keep: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """The entropy (a scalar), log p, and slope and offset of the gradient along rows and along columns."""
    entries = soft.clamp_min(ENTRY_FLOOR).mul_(keep[:, :, None]).mul_(keep[:, None])
    logs = entries.clamp_min(ENTRY_FLOOR).log_()
    products = entries * logs
    entropy = soft.new_zeros(())
    lines = []
    for axis in (-1, -2):
        total, product = entries.sum(axis) + (1 - keep), products.sum(axis)
        entropy = entropy + (weight * (total.log() - product / total)).sum()
        # d/dp = (1 - log p - 1) / t + (sum p log p) / t^2, each times the weight
        lines += [weight / total, weight * product / total.square()]
    return entropy, logs, *lines


def _entropy_gradient(
    soft: Tensor, logs: Tensor, row_slope: Tensor, row_offset: Tensor, column_slope: Tensor, column_offset: Tensor
) -> Tensor:
    slope = row_slope[:, :, None] + column_slope[:, None]
    gradient = torch.addcmul(row_offset[:, :, None] + column_offset[:, None], slope, logs, value=-1)
    return gradient.mul_(soft >= ENTRY_FLOOR)
