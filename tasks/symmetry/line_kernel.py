"""The kernel exp(-|t_i - t_j|) on points that are sorted along a line: products with vectors in linear time.

Seen from point i, the points before it and those after it are two sums of products, since
exp(-(t_j - t_i)) = exp(t_i) exp(-t_j): cumulative sums take the place of the N x N matrix.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

LARGEST_EXPONENT = 300.0  # exp of it, times a sum of as many terms as there are points, is a double


class LineKernel(Protocol):
    """The kernel of points ``[M, N]``; those that do not exist have zero rows and columns, the diagonal included."""

    def halves(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """``sum_{j < i} K_ij v_j`` and ``sum_{j > i} K_ij v_j`` for vectors ``[M, N]``, float64."""


class ScanKernel:
    """By cumulative sums: for points whose distances can be split into two exponentials."""

    def __init__(self, points: Tensor, keep: Tensor) -> None:
        self.up, self.down = points.exp() * keep, points.neg().exp() * keep

    def halves(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        before = (self.down * vector).cumsum(-1)
        after = (self.up * vector).flip(-1).cumsum(-1).flip(-1)
        return self.up * pad(before[:, :-1], (1, 0)), self.down * pad(after[:, 1:], (0, 1))


class DenseKernel:
    """By the matrix: for any points."""

    def __init__(self, points: Tensor, keep: Tensor) -> None:
        kernel = (points[:, :, None] - points[:, None]).abs().neg().exp() * keep[:, :, None] * keep[:, None]
        self.lower, self.upper = kernel.tril(-1), kernel.triu(1)

    def halves(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        return tuple((half @ vector[..., None]).squeeze(-1) for half in (self.lower, self.upper))  # type: ignore[return-value]


def line_kernel(points: Tensor, keep: Tensor, spread: float) -> LineKernel:
    """The kernel of float64 ``points`` ``[M, N]`` in descending order; ``keep`` is 1 where a point exists, else 0.

    No two points of a row are further apart than ``spread``: looking for that here would wait for the device.
    """
    highest = points.masked_fill(keep == 0, -torch.inf).amax(-1, keepdim=True)
    lowest = points.masked_fill(keep == 0, torch.inf).amin(-1, keepdim=True)
    centred = (points - (highest + lowest) / 2) * keep
    kind = ScanKernel if spread / 2 < LARGEST_EXPONENT else DenseKernel
    return kind(centred, keep)
