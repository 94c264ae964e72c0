"""From scores to permutations, and the entropy of soft ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tasks.symmetry.dynamic_shapes import in_cache, rejoined

ENTRY_FLOOR = 1e-12


def sort_descending(scores: Tensor, mask: Tensor) -> Tensor:
    """Nodes ``[..., N]`` in descending order of score; those that do not exist stay last, in place."""
    return scores.masked_fill(~mask, -torch.inf).argsort(dim=-1, descending=True, stable=True)


def permutation_entropy(soft: Tensor, mask: Tensor) -> Tensor:
    """Mean over structures and nodes of row entropy + column entropy (nats) of ``soft`` ``[M, N, N]``: a scalar.

    Entries are clamped at 1e-12 and rows and columns renormalised (Kim et al. 2023). ``mask`` is ``[M, N]``.
    """
    return _PermutationEntropy.apply(soft, mask)[0]


class _PermutationEntropy(torch.autograd.Function):
    """-sum (p / t) log (p / t) = log t - (sum p log p) / t for every row and column of total t, and its gradient.

    Rows and columns share one p log p, and the gradient with respect to p is linear in log p: three passes over the
    matrices where automatic differentiation takes a dozen. Beside the entropy come log p and that line's slopes and
    offsets, for the backward pass.
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
    """The entropy's sum, log p, and slope and offset of the gradient along rows and along columns."""
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
