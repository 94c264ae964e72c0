"""Attention as the plain operators it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_fast_attention() -> Iterator[None]:
    """Without torch's fused encoder layer: vmap cannot batch it, and nobody can count what is computed in it."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
