"""Products of the kernel exp(-|t_i - t_j|) with vectors in linear time, for points sorted along a line.

For j > i the kernel is a product, exp(-(t_i - t_j)) = exp(-t_i) exp(t_j) for descending t, and likewise for j < i.
Cumulative sums therefore replace the N x N matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.symmetry.deterministic import running_sums

LARGEST_SPREAD = 600.0  # exp(300) times a sum over all points does not overflow in double precision


class LineKernel:
    """The kernel K_ij = exp(-|t_i - t_j|) of M sets of points.

    Args:
        points: Points t in descending order, float64 ``[M, N]``. No two of a row may be further apart than
            ``LARGEST_SPREAD``; this is not checked, since a check would wait for the device.
        keep: 1 for points that exist, else 0, ``[M, N]``. Rows and columns of absent points are zero.
    """

    def __init__(self, points: Tensor, keep: Tensor) -> None:
        highest = points.masked_fill(keep == 0, -torch.inf).amax(-1, keepdim=True)
        lowest = points.masked_fill(keep == 0, torch.inf).amin(-1, keepdim=True)
        centred = (points - (highest + lowest) / 2) * keep
        self.up, self.down = centred.exp() * keep, centred.neg().exp() * keep

    def halves(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """The sums over j < i and over j > i of K_ij v_j, each ``[M, N]``, for vectors v ``[M, N]``, float64."""
        before = running_sums(self.down * vector)
        after = running_sums((self.up * vector).flip(-1)).flip(-1)
        return self.up * pad(before[:, :-1], (1, 0)), self.down * pad(after[:, 1:], (0, 1))
