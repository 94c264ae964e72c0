"""Where a sampler's noise comes from: a generator, or the input itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from baselines.samplers.hashing import mixed, shifted
from tasks.symmetry.noise import Generator, normal, uniform
from tasks.symmetry.structure import Structure


class NoiseSource(Protocol):
    """Independent numbers of a shape ``[B, K, ...]``, in the dtype and on the device of ``like``."""

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Uniform between 0 and 1."""

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Standard normal."""


class SampledNoise(NoiseSource):
    """Fresh numbers at every call."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return uniform(shape, like, self.generator)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return normal(shape, like, self.generator)


class FixedNoise(NoiseSource):
    """Numbers that are a function of each input, of ``seed`` and of which call it is: the same at every epoch.

    An input is known by its key, so that no two examples of a data set share their numbers, however alike they are.
    Every number is a hash of the key and of its own place: it does not depend on the batch, on padding or on how many
    samples are asked for.
    """

    def __init__(self, x: Structure, seed: Tensor) -> None:
        self.keys = mixed(x.key + mixed(seed))

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self._uniform(shape, like).to(like.dtype)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return torch.special.ndtri(self._uniform(shape, like)).to(like.dtype)

    def _uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        self.keys = mixed(self.keys)
        hashes = self.keys
        for size in shape[1:]:
            hashes = mixed(
                hashes[..., None] + torch.arange(1, size + 1, device=hashes.device)
            )  # 0 leads to the next call
        # One bit less than the mantissa holds: the middle of each of the equal parts of (0, 1) is exact.
        bits, dtype = (52, torch.float64) if like.dtype == torch.float64 else (23, torch.float32)
        return (shifted(hashes, 64 - bits).to(dtype) + 0.5) * 2.0**-bits
