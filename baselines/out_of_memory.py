"""What counts as a device that is out of memory, and evaluation that goes on with fewer group samples at a time."""

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
    """Also where a library that allocates for itself (cuBLAS, cuDNN, NCCL) or the driver says so.

    These raise errors of torch's own kinds; what a plug-in raises of a kind of its own is not theirs.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    kinds = (RuntimeError, torch.AcceleratorError, torch.distributed.DistBackendError)
    return type(error) in kinds and any(words in str(error) for words in SAID)


def free_accelerator() -> None:
    """Gives back the memory that torch keeps for later: another worker may share the device.

    A device that failed gives nothing back: its error is that of the call before, which must not be hidden.
    """
    if torch.cuda.is_initialized():
        gc.collect()
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()


class Chunks:
    """Evaluates group samples in chunks, and in smaller ones once the device was out of memory.

    ``most`` is how many fit from then on (``None``: it never was). Their noise is drawn before, so that no result
    depends on it, to rounding.
    """

    def __init__(self) -> None:
        self.most: int | None = None

    def results(self, noise: Noise, count: int, chunk: int | None, compute: Callable[[Noise], T]) -> list[T]:
        """``compute`` of each part of the ``count`` samples of ``noise``, at most ``chunk`` of them at a time.

        Raises ``RuntimeError`` where the device has no memory for a single sample.
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
            self._halve(stop - start)  # by now the error, which holds on to tensors, is gone
        return found

    def notes(self, asked: int | None) -> tuple[str, ...]:
        """What a run says of it that was to take ``asked`` samples at a time."""
        if self.most is None:
            return ()
        return (f"out of memory in evaluation: chunk {self.most} instead of {asked or 'all samples'}",)

    def _halve(self, size: int) -> None:
        self.most = size // 2
        _log.warning("the device is out of memory: evaluation goes on with %d group samples at a time", self.most)
        free_accelerator()
