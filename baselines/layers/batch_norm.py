"""Batch normalisation over the existing rows of a padded batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm

from tasks.symmetry.dynamic_shapes import may_follow_data

Mask = Tensor | None


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that ignores absent rows.

    Attributes:
        total: Sums a tensor over the processes that share a batch; None if this process has the whole batch.
    """

    total: Callable[[Tensor], Tensor] | None = None

    def forward(self, rows: Tensor, mask: Mask = None, repeats: int = 1) -> Tensor:
        """Normalises rows.

        Args:
            rows: ``[..., C]``.
            mask: True for rows that exist, ``[...]``; None if all exist.
            repeats: How often the last entry of the first axis is counted in training.

        Returns:
            ``[..., C]``, finite but arbitrary for absent rows.
        """
        if self.training and repeats > 1:
            return self._repeated(rows, repeats)
        if not self.training or (mask is None and self.total is None):
            return super().forward(rows.flatten(0, -2)).view_as(rows)
        if mask is None:
            mask = rows.new_ones(rows.shape[:-1], dtype=torch.bool)
        if self.total is None and may_follow_data(rows):
            return rows.new_zeros(rows.shape).index_put((mask,), super().forward(rows[mask]))
        return self._weighted(rows, mask[..., None].to(rows.dtype))

    def _repeated(self, rows: Tensor, repeats: int) -> Tensor:
        if self.total is not None:
            often = rows.new_ones(*rows.shape[:-1], 1)
            often[-1] = repeats
            return self._weighted(rows, often)
        flat, last = rows.flatten(0, -2), rows[-1].numel() // rows.shape[-1]
        normalised, mean, variance = _RepeatedNorm.apply(flat, self.weight, self.bias, last, repeats, self.eps)
        count = len(flat) + (repeats - 1) * last
        self._follow(mean, variance * (count / (count - 1)))
        return normalised.view_as(rows)

    def _weighted(self, rows: Tensor, keep: Tensor) -> Tensor:
        """Normalises by statistics over all processes in which each row has the weight ``keep`` ``[..., 1]``."""
        total = self.total or (lambda share: share)
        axes = tuple(range(rows.dim() - 1))
        count = total(keep.sum())
        mean = total((rows * keep).sum(axes)) / count
        centred = rows - mean
        variance = total((centred.square() * keep).sum(axes)) / count
        self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        return centred * ((variance + self.eps).rsqrt() * self.weight) + self.bias

    def _follow(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.mul_(1 - self.momentum).add_(self.momentum * mean)
        self.running_var.mul_(1 - self.momentum).add_(self.momentum * unbiased_variance)


class _RepeatedNorm(torch.autograd.Function):
    """Batch normalisation of rows ``[R, C]`` in which the ``last`` rows are counted ``repeats`` times.

    Returns the normalised rows, the mean and the biased variance. torch has no weighted batch norm, and both repeating
    rows and automatic differentiation of the formula take more time than the layer itself.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, last: int, repeats: int, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        once, often = len(rows) - last, last * repeats
        ctx.last, ctx.repeats, ctx.eps, ctx.count = last, repeats, eps, once + often
        # The statistics of both parts are combined as in Chan et al. 1979.
        mean, variance = torch.batch_norm_update_stats(rows[:once], None, None, 0.0)
        apart = rows[once:].mean(0) - mean
        within = rows[once:].var(0, correction=0)
        share = often / ctx.count
        variance = (1 - share) * variance + share * within + (1 - share) * share * apart.square()
        mean = mean + share * apart
        ctx.save_for_backward(rows, weight, mean, variance)
        ctx.mark_non_differentiable(mean, variance)
        return batch_norm(rows, mean, variance, weight, bias, False, 0.0, eps), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, variance = ctx.saved_tensors
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], rows, weight, mean, variance, None, None, False, ctx.eps, [False, True, True]
        )
        # The gradient through the statistics is linear in a row and multiplied by how often the row is counted.
        deviation = (variance + ctx.eps).rsqrt()
        slope = -weight * deviation.square() * of_weight / ctx.count
        offset = -weight * deviation * of_bias / ctx.count - slope * mean
        through = torch.addcmul(offset, rows, slope).addcmul_(gradients[0], weight * deviation)
        if ctx.repeats > 1:
            through[-ctx.last :] += (ctx.repeats - 1) * (rows[-ctx.last :] * slope + offset)
        return through, of_weight, of_bias, None, None, None
