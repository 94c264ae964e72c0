"""A wide linear layer on rows that are mostly zeros, such as the edges of a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from tasks.symmetry.dynamic_shapes import may_follow_data

LEAST_WEIGHTS = 2**20  # with fewer weights or rows the dense product takes less time
LEAST_ROWS = 512
LARGEST_SHARE = 1 / 16  # of nonzero entries, for the same reason
SLICE = 64  # outputs at a time, so that their weights stay in the cache of a CPU


def linear(layer: nn.Linear, rows: Tensor) -> Tensor:
    """Computes ``layer(rows)`` for rows ``[R, F]``.

    In training on a CPU, products by zero are skipped if most entries are zero.
    """
    if not _may_be_sparse(layer, rows):
        return layer(rows)
    entries = Entries.of(rows)
    if len(entries.values) > LARGEST_SHARE * rows.numel():
        return layer(rows)
    out: Tensor = _SparseLinear.apply(rows, layer.weight, layer.bias, entries)
    return out


def _may_be_sparse(layer: nn.Linear, rows: Tensor) -> bool:
    large = layer.weight.numel() >= LEAST_WEIGHTS and len(rows) >= LEAST_ROWS
    return large and torch.is_grad_enabled() and may_follow_data(rows) and not torch.is_autocast_enabled("cpu")


@dataclass(frozen=True)
class Entries:
    """The nonzero entries of a matrix, row by row.

    Attributes:
        columns: The column of each entry.
        values: The value of each entry.
        begin: The index of the first entry of each row.
    """

    columns: Tensor
    values: Tensor
    begin: Tensor

    @staticmethod
    def of(matrix: Tensor) -> Entries:
        """The nonzero entries of a dense matrix."""
        row, column = matrix.nonzero().unbind(1)
        return Entries(column.contiguous(), matrix[row, column], _begin(row, len(matrix)))

    def transposed(self, columns: int) -> Entries:
        """The entries of the transpose of this matrix, which has this number of columns."""
        counts = self.begin.diff(append=self.begin.new_tensor([len(self.columns)]))
        row = torch.arange(len(counts)).repeat_interleave(counts)
        order = self.columns.argsort(stable=True)
        return Entries(row[order], self.values[order], _begin(self.columns, columns))

    def product(self, dense: Tensor) -> Tensor:
        """This matrix times a contiguous ``dense`` one."""
        return embedding_bag(self.columns, dense, self.begin, mode="sum", per_sample_weights=self.values)


def _begin(places: Tensor, count: int) -> Tensor:
    """The index at which each of ``count`` values begins in the sorted ``places``."""
    counts = places.bincount(minlength=count)
    return counts.cumsum(0) - counts


class _SparseLinear(torch.autograd.Function):
    """``rows @ weight.T + bias``, which like the gradient of ``weight`` is a sum over ``entries``."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, entries: Entries) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.entries = entries
        out = rows.new_empty(len(rows), len(weight))
        for part in _slices(weight):
            out[:, part] = entries.product(weight[part].T.contiguous())
        return out.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        (weight,) = ctx.saved_tensors
        entries = ctx.entries.transposed(weight.shape[1])
        of_weight = torch.empty_like(weight)
        for part in _slices(weight):
            of_weight[part] = entries.product(gradient[:, part].contiguous()).T
        of_rows = gradient @ weight if ctx.needs_input_grad[0] else None
        return of_rows, of_weight, gradient.sum(0), None


def _slices(weight: Tensor) -> list[slice]:
    return [slice(start, start + SLICE) for start in range(0, len(weight), SLICE)]
