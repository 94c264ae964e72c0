"""Errors after which a process cannot use its accelerator any more."""

from __future__ import annotations

import torch

from baselines.out_of_memory import is_out_of_memory

_MESSAGES = (
    "CUDA error",
    "CUDA driver error",
    "HIP error",
    "_STATUS_EXECUTION_FAILED",
    "_STATUS_INTERNAL_ERROR",
    "_STATUS_MAPPING_ERROR",
    "_STATUS_NOT_INITIALIZED",
    "CUFFT_EXEC_FAILED",
    "CUFFT_INTERNAL_ERROR",
)


class DeviceFailed(Exception):
    """Every further call to the accelerator fails in this process; the run needs a new process."""


class MemoryFull(Exception):
    """The device of one of several processes is out of memory: the whole run ends."""


def is_device_failure(error: BaseException) -> bool:
    """Whether this process cannot use the device any more after ``error``.

    CUDA keeps an error such as an illegal memory access or a failed assertion until the process ends, and reports it
    at the next call, whichever that is.
    """
    if is_out_of_memory(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return type(error) is RuntimeError and any(message in str(error) for message in _MESSAGES)
