"""Hashes of numbers on any device: 64-bit integers that wrap around, so that sums are exact in any order."""

from __future__ import annotations

import torch
from torch import Tensor


def mixed(keys: Tensor) -> Tensor:
    """SplitMix64 (Steele et al. 2014), a bijection of int64 with outputs that look random."""
    keys = keys + _signed(0x9E3779B97F4A7C15)
    keys = (keys ^ shifted(keys, 30)) * _signed(0xBF58476D1CE4E5B9)
    keys = (keys ^ shifted(keys, 27)) * _signed(0x94D049BB133111EB)
    return keys ^ shifted(keys, 31)


def hashed(values: Tensor) -> Tensor:
    """Hashes, int64 ``[...]``, of C numbers ``[..., C]`` by their bits in double precision."""
    bits = (values.double() + 0.0).contiguous().view(torch.int64)  # turns -0.0 into 0.0
    hashes = torch.zeros(values.shape[:-1], dtype=torch.int64, device=values.device)
    for channel in range(values.shape[-1]):
        hashes = mixed(hashes + bits[..., channel])
    return hashes


def shifted(keys: Tensor, places: int) -> Tensor:
    """A logical shift to the right; that of torch is arithmetic."""
    return (keys >> places) & ((1 << (64 - places)) - 1)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
