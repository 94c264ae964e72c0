"""Where a run computes, and in which types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}  # of weights and data


def device_for(gpus: float) -> torch.device:
    """A CUDA device where one was granted, else the CPU. Raises ``RuntimeError`` for a grant that is not there."""
    if gpus <= 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise RuntimeError(f"The run was granted {gpus} GPU but torch sees none: install a CUDA build or set gpus: 0.")
    return torch.device("cuda")


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Deterministic kernels, as far as there are any on an accelerator."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
