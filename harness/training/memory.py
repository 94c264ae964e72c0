"""How much tensor memory a computation needs at once, and keeping it between computations."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 1 << 30


def peak_memory(action: Callable[[], object], device: torch.device) -> int:
    """Bytes of tensors alive at once during ``action``, beyond those alive before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        action()
        return torch.cuda.max_memory_allocated(device) - before
    with _Allocations() as allocations:
        action()
    return allocations.peak


def keep_freed_memory() -> bool:
    """Has glibc keep large freed blocks for the next tensors; false where the C library is another one.

    By default every tensor of some megabytes is mapped anew and its pages are faulted in one by one, which takes a
    third of the time of small networks on many inputs.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))


class _Allocations(TorchDispatchMode):
    """Follows the storages that operators return, from first sight to release: the CPU allocator keeps no count."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for given in tree_leaves((args, kwargs)):
            self._follow(given, counts=False)
        out = func(*args, **(kwargs or {}))
        for made in tree_leaves(out):
            self._follow(made, counts=True)
        return out

    def _follow(self, value: Any, counts: bool) -> None:
        if not isinstance(value, Tensor) or value.layout is not torch.strided:
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
