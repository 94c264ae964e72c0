"""Batch normalisation over rows of which some do not exist."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tasks.symmetry.shapes import may_follow_data

Mask = Tensor | None


class BatchNorm(nn.BatchNorm1d):
    """Of rows ``[..., C]`` those count that exist by ``mask`` ``[...]`` (``None``: all).

    What comes out for the others is finite and means nothing. ``total`` adds up what several processes have of one
    batch; ``None`` where this one has all of it.
    """

    total: Callable[[Tensor], Tensor] | None = None

    def forward(self, rows: Tensor, mask: Mask = None) -> Tensor:
        if not self.training or (mask is None and self.total is None):
            return super().forward(rows.flatten(0, -2)).view_as(rows)
        if mask is None:
            mask = rows.new_ones(rows.shape[:-1], dtype=torch.bool)
        if self.total is None and may_follow_data(rows):
            return rows.new_zeros(rows.shape).index_put((mask,), super().forward(rows[mask]))
        total = self.total or (lambda share: share)
        keep = mask[..., None].to(rows.dtype)
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
