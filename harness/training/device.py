"""Where and how precisely a run computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tasks.protocol import Protocol

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}


def device_for(gpus: float) -> torch.device:
    """A CUDA device where one was granted, else the CPU. Raises ``RuntimeError`` for a grant that is not there."""
    if gpus <= 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise RuntimeError(f"The run was granted {gpus} GPU but torch sees none: install a CUDA build or set gpus: 0.")
    return torch.device("cuda")


@contextmanager
def precision(device: torch.device, protocol: Protocol) -> Iterator[None]:
    """Deterministic kernels, and bfloat16 autocast where the protocol asks for it."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=protocol.precision == "bfloat16"):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
