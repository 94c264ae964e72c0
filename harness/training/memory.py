"""Peak memory of a computation, and how the C library keeps freed memory."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 1 << 30


def peak_memory(action: Callable[[], object], device: torch.device) -> int:
    """Returns the most bytes of tensors alive at once during ``action``, beyond those alive before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        action()
        return torch.cuda.max_memory_allocated(device) - before
    with Allocations() as allocations:
        action()
    return allocations.peak


def reset_device_peak(device: torch.device) -> None:
    """Starts the measurement of :func:`device_peak`."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def device_peak(device: torch.device) -> int | None:
    """Returns the most bytes of tensors on an accelerator since :func:`reset_device_peak`.

    None on the CPU, where the peak of the process is recorded instead.
    """
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def keep_freed_memory() -> bool:
    """Makes glibc keep large freed blocks for the next tensors. Returns whether it did: other C libraries cannot.

    By default glibc maps new memory for every tensor of some megabytes. Its page faults take a third of the time of
    small networks on many inputs.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))


class Allocations(TorchDispatchMode):
    """Counts the bytes of the storages that operators return until their release; torch's CPU allocator does not."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for given in _tensors((*args, *kwargs.values())):
            self._follow(given, counts=False)
        out = func(*args, **kwargs)
        for made in _tensors((out,)):
            self._follow(made, counts=True)
        return out

    def _follow(self, value: Tensor, counts: bool) -> None:
        if value.layout is not torch.strided:
            return
        storage = value.untyped_storage()
        if storage._cdata in self._known:
            return
        size = storage.nbytes() if counts else 0
        self._known.add(storage._cdata)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._release, storage._cdata, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among the arguments or results of an operator, also those in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
