"""Which errors say that an accelerator's memory is full, and which that it serves this process no more."""

from __future__ import annotations

import pytest
import torch

from baselines.out_of_memory import is_out_of_memory
from harness.training.device_errors import is_device_failure

FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 71.00 GiB."),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
]
FAILED = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]


class OfAPlugin(RuntimeError):
    pass


NEITHER = [
    ValueError("CUDA error: as somebody says"),
    OfAPlugin("out of memory"),
    RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
    MemoryError(),
    KeyError("CUDA error"),
]


@pytest.mark.parametrize(
    ("error", "full", "failed"),
    [*((e, True, False) for e in FULL), *((e, False, True) for e in FAILED), *((e, False, False) for e in NEITHER)],
)
def test_full_memory_and_a_failed_device_are_told_apart(error: Exception, full: bool, failed: bool) -> None:
    assert (is_out_of_memory(error), is_device_failure(error)) == (full, failed)
