"""The device and the floating-point types of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from tasks.symmetry.element import Element, Product

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}  # of weights and data


def device_for(gpus: float) -> torch.device:
    """Returns a CUDA device if ``gpus`` is positive, else the CPU.

    Raises:
        RuntimeError: Torch sees no GPU.
    """
    if gpus <= 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise RuntimeError(f"The run was granted {gpus} GPU but torch sees none: install a CUDA build or set gpus: 0.")
    return torch.device("cuda")


def synchronize(device: torch.device) -> None:
    """Waits until the device has finished, so that a clock measures the computation and not only its launch."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def cast(element: Element, dtype: torch.dtype) -> Element:
    """Returns ``element`` with its real tensors in ``dtype``."""
    if isinstance(element, Product):
        return Product(tuple(cast(factor, dtype) for factor in element.factors))
    real = {
        name: value.to(dtype)
        for name, value in vars(element).items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    return replace(element, **real)  # type: ignore[type-var]


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Allows only deterministic kernels inside: an operator without one on ``device`` raises an error.

    Torch's mode that only warns does not suffice: in it, the backward pass of attention sums in any order.
    """
    if device.type == "cuda":
        # cuBLAS is deterministic only with its own workspaces, which it allocates at its first call.
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
