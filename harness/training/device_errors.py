"""Errors after which an accelerator serves this process no more."""

from __future__ import annotations

import torch

from baselines.out_of_memory import is_out_of_memory

_FAILED = (
    "CUDA error", "CUDA driver error", "HIP error", "_STATUS_EXECUTION_FAILED", "_STATUS_INTERNAL_ERROR",
    "_STATUS_MAPPING_ERROR", "_STATUS_NOT_INITIALIZED", "CUFFT_EXEC_FAILED", "CUFFT_INTERNAL_ERROR",
)  # fmt: skip


class DeviceFailed(Exception):
    """After this error of an accelerator every further call fails in the same process: only a new one can go on."""


class MemoryFull(Exception):
    """The device of one of several processes is full: all of them have to know before the run goes on."""


def is_device_failure(error: BaseException) -> bool:
    """Whether the device can no longer be used by this process.

    CUDA keeps an error such as an illegal memory access or a failed assertion until the process ends, and reports it
    at whatever call comes next.
    """
    if is_out_of_memory(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return type(error) is RuntimeError and any(words in str(error) for words in _FAILED)
