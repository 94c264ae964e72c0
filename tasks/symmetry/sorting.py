"""From scores to permutations, and the soft permutation that carries their gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def sort_descending(scores: Tensor, mask: Tensor) -> Tensor:
    """Nodes ``[..., N]`` in descending order of score; those that do not exist stay last, in place."""
    return scores.masked_fill(~mask, -torch.inf).argsort(dim=-1, descending=True, stable=True)


def soft_identity(sorted_scores: Tensor, mask: Tensor, temperature: float, steps: int) -> Tensor:
    """Sinkhorn-normalised SoftSort of scores ``[M, N]`` that are sorted already (descending): ``[M, N, N]``.

    ``P[i, j]`` starts as exp(-|s_(i) - s_(j)| / temperature) (Prillo and Eisenschlos 2020) and is normalised ``steps``
    times over rows, then columns (Sinkhorn 1964). Times the hard permutation it is the paper's P_soft. Entries of
    nodes that do not exist are zero. ``mask`` is ``[M, N]``.
    """
    return _SoftIdentity.apply(sorted_scores, mask, temperature, steps)


class _SoftIdentity(torch.autograd.Function):
    """Sinkhorn's scalings a, b of a kernel K, so that P = diag(a) K diag(b), with their exact gradient.

    K is symmetric with a unit diagonal, so a and b stay within [1/N, N] and no logarithm is needed. The gradient of
    every normalisation with respect to log K is K times a rank-one matrix: one product of two thin matrices in all.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, mask: Tensor, temperature: float, steps: int) -> Tensor:
        keep = mask.to(scores.dtype)[..., None]
        absent = 1 - keep
        kernel = (scores[:, :, None] - scores[:, None, :]).abs_().mul_(-1 / temperature).exp_()
        kernel.mul_(keep).mul_(keep.mT)
        columns, rows_at, columns_at = keep, [], []
        for _ in range(steps):
            rows = keep / (kernel @ columns + absent)
            columns_at.append(columns)
            columns = keep / (kernel @ rows + absent)
            rows_at.append(rows)
        soft = kernel * rows * columns.mT
        ctx.save_for_backward(kernel, soft, columns, torch.cat(rows_at, -1), torch.cat(columns_at, -1))
        ctx.temperature = temperature
        return soft

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        kernel, soft, columns, rows_at, columns_at = ctx.saved_tensors
        steps = rows_at.shape[-1]
        log_soft_gradient = gradients[0] * soft
        # With a = rows, b = columns: gradients of log a and log b, from the last normalisation back to the first.
        log_rows = log_soft_gradient.sum(-1, keepdim=True)
        log_columns = log_soft_gradient.sum(-2).unsqueeze(-1)
        left, right = [], []
        for step in range(steps - 1, -1, -1):
            rows, before = rows_at[..., step, None], columns_at[..., step, None]
            through_columns = -log_columns * columns
            left.append(rows)
            right.append(through_columns)
            log_rows = log_rows + rows * (kernel @ through_columns)
            through_rows = -log_rows * rows
            left.append(through_rows)
            right.append(before)
            log_columns = before * (kernel @ through_rows)
            log_rows, columns = torch.zeros_like(log_rows), before
        log_kernel = (torch.cat(left, -1) @ torch.cat(right, -1).mT).mul_(kernel).add_(log_soft_gradient)
        # Scores fall along the axis: the distance grows with s_(i) above the diagonal of row i, falls below it.
        order = torch.ones_like(kernel[0]).triu(1)
        signed = log_kernel.mul_(order - order.mT)
        scores_gradient = (signed.sum(-2) - signed.sum(-1)) / ctx.temperature
        return scores_gradient, None, None, None


def permutation_entropy(soft: Tensor, mask: Tensor) -> Tensor:
    """Mean over structures and nodes of row entropy + column entropy (nats) of ``soft`` ``[M, N, N]``: a scalar.

    Entries are clamped at 1e-12 and rows and columns renormalised (Kim et al. 2023). ``mask`` is ``[M, N]``.
    """
    keep = mask.to(soft.dtype)
    pairs = keep[:, :, None] * keep[:, None, :]
    entries = soft.clamp_min(1e-12) * pairs
    weighted = torch.special.entr(entries)  # -p log p
    entropy = soft.new_zeros(())
    for axis in (-1, -2):
        total = entries.sum(axis) + (1 - keep)
        # -sum (p / t) log (p / t) = (-sum p log p) / t + log t
        entropy = entropy + ((weighted.sum(axis) / total + total.log()) * keep).sum(-1)
    return (entropy / keep.sum(-1)).mean()
