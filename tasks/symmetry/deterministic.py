"""What has deterministic kernels on the CPU alone, and what takes its place elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor


def on_cpu(values: Tensor) -> bool:
    """Whether ``values`` are on the CPU, where sums by index, running ones and LAPACK are deterministic and at hand.

    An accelerator has such kernels for none of them, sorts to have one, or is waited for.
    """
    return values.device.type == "cpu"


def running_sums(values: Tensor) -> Tensor:
    """Of ``[M, N]`` along the last axis: by a product where only that is deterministic."""
    if on_cpu(values):
        return values.cumsum(-1)
    return values @ torch.ones(values.shape[-1:] * 2, dtype=values.dtype, device=values.device).triu()
