"""The kernel exp(-|t_i - t_j|) on points that are sorted along a line: products with vectors in linear time.

Seen from point i, the points before it and those after it are two sums of products, since
exp(-(t_j - t_i)) = exp(t_i) exp(-t_j): cumulative sums take the place of the N x N matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.symmetry.deterministic import running_sums

LARGEST_SPREAD = 600.0  # the exponential of half of it, times a sum of as many terms as points, is a double


class LineKernel:
    """The kernel of float64 ``points`` ``[M, N]`` in descending order; ``keep`` is 1 where a point exists, else 0.

    Those that do not exist have zero rows and columns, the diagonal included. No two points of a row may be further
    apart than ``LARGEST_SPREAD``: looking for that here would wait for the device.
    """

    def __init__(self, points: Tensor, keep: Tensor) -> None:
        highest = points.masked_fill(keep == 0, -torch.inf).amax(-1, keepdim=True)
        lowest = points.masked_fill(keep == 0, torch.inf).amin(-1, keepdim=True)
        centred = (points - (highest + lowest) / 2) * keep
        self.up, self.down = centred.exp() * keep, centred.neg().exp() * keep

    def halves(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """``sum_{j < i} K_ij v_j`` and ``sum_{j > i} K_ij v_j`` for vectors ``[M, N]``, float64."""
        before = running_sums(self.down * vector)
        after = running_sums((self.up * vector).flip(-1)).flip(-1)
        return self.up * pad(before[:, :-1], (1, 0)), self.down * pad(after[:, 1:], (0, 1))
