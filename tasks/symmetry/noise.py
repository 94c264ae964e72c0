"""Outsourced noise: all random numbers of a group element, drawn before anything is computed from them.

Every sampler is a deterministic map of such noise (Kallenberg's noise outsourcing; Kim et al. 2023, section 2.2).
Samples can therefore be processed in chunks, repeated or held fixed, and the same numbers are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Noise = tuple[Tensor, ...]  # each [B, K, ...]
Generator = torch.Generator | None


def normal(shape: Sequence[int], like: Tensor, generator: Generator) -> Tensor:
    """Standard normal numbers of this shape, drawn in the dtype and on the device of ``like``."""
    return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)


def uniform(shape: Sequence[int], like: Tensor, generator: Generator) -> Tensor:
    """Uniform numbers on [0, 1) of this shape, drawn in the dtype and on the device of ``like``."""
    return torch.rand(shape, generator=generator, dtype=like.dtype, device=like.device)


def sample_slice(noise: Noise, start: int, stop: int) -> Noise:
    """The noise of samples ``start`` to ``stop`` (exclusive)."""
    return tuple(part[:, start:stop] for part in noise)
