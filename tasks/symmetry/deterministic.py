"""Replacements for operators that are deterministic only on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor


def on_cpu(values: Tensor) -> bool:
    """Returns True if ``values`` are on the CPU, where sums by index, cumulative sums and LAPACK are deterministic.

    On an accelerator these operators have no deterministic kernel, have one that sorts, or make the host wait.
    """
    return values.device.type == "cpu"


def running_sums(values: Tensor) -> Tensor:
    """Cumulative sums of ``values`` ``[M, N]`` along the last axis: a matrix product where ``cumsum`` is not safe."""
    if on_cpu(values):
        return values.cumsum(-1)
    return values @ torch.ones(values.shape[-1:] * 2, dtype=values.dtype, device=values.device).triu()
