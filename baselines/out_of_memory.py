"""Recognises out-of-memory errors, and evaluates with fewer group samples at a time after one."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from tasks.symmetry.noise import Noise, sample_slice

T = TypeVar("T")

SAID = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
TOO_SMALL = "a batch of evaluation does not fit into the device's memory, with one group sample at a time"

_log = logging.getLogger(__name__)


def is_out_of_memory(error: BaseException) -> bool:
    """Returns True if the device was out of memory.

    Libraries that allocate memory themselves (cuBLAS, cuDNN, NCCL) and the driver raise other errors of torch, which
    are recognised by their text. Subclasses that a plug-in defines are not.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    kinds = (RuntimeError, torch.AcceleratorError, torch.distributed.DistBackendError)
    return type(error) in kinds and any(words in str(error) for words in SAID)


def free_accelerator() -> None:
    """Releases the memory that torch caches on the device, which another worker may share.

    Errors are ignored: a device that failed reports the error of an earlier call, which must not be hidden.
    """
    if torch.cuda.is_initialized():
        gc.collect()
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()


class Chunks:
    """Evaluates group samples in chunks, and in smaller chunks after the device was out of memory.

    The noise is drawn before, so results do not depend on the chunks, to rounding.

    Attributes:
        most: The largest chunk since the device was out of memory; None if it never was.
    """

    def __init__(self) -> None:
        self.most: int | None = None

    def results(self, noise: Noise, count: int, chunk: int | None, compute: Callable[[Noise], T]) -> list[T]:
        """Calls a function on the noise of one chunk of samples after another.

        Args:
            noise: The noise of ``count`` samples.
            count: Number of samples.
            chunk: The largest number of samples at a time; None sets no limit.
            compute: Called with the noise of each chunk.

        Returns:
            The results in order of the samples.

        Raises:
            RuntimeError: The device has no memory for a single sample.
        """
        found: list[T] = []
        start = 0
        while start < count:
            stop = min(count, start + min(chunk or count, self.most or count))
            try:
                part = compute(sample_slice(noise, start, stop))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if stop - start == 1:
                    raise RuntimeError(TOO_SMALL) from error
            else:
                found.append(part)
                start = stop
                continue
            self._halve(stop - start)  # outside the except block: the error would keep its tensors alive
        return found

    def notes(self, asked: int | None) -> tuple[str, ...]:
        """Notes for the record of a run that requested ``asked`` samples at a time; none if memory was sufficient."""
        if self.most is None:
            return ()
        return (f"out of memory in evaluation: chunk {self.most} instead of {asked or 'all samples'}",)

    def _halve(self, size: int) -> None:
        self.most = size // 2
        _log.warning("the device is out of memory: evaluation continues with %d group samples at a time", self.most)
        free_accelerator()
