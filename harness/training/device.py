"""Where a run computes, and in which types."""

from __future__ import annotations

import os
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


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what was asked of it: until then a clock measures the asking alone."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Deterministic kernels alone: an operator that has none on ``device`` raises.

    Torch's mode that only warns is no milder one: in it attention takes backward passes that add up in any order.
    """
    if device.type == "cuda":
        # cuBLAS repeats its sums only with workspaces of its own, which are made when it is first called.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(before, warn_only=warned)
