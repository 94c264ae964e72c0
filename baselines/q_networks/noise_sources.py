"""Sources of a sampler's noise: a generator, or a hash of the input's key."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.samplers.hashing import mixed, shifted
from tasks.symmetry.noise import Generator, normal, uniform
from tasks.symmetry.structure import Structure


class NoiseSource(typing.Protocol):
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
    """Numbers that are a function of each input, ``seed`` and the index of the call: the same at every epoch.

    An input is identified by its key, so that equal examples of a data set have different numbers. Every number is a
    hash of the key and of its index, which does not depend on the batch, the padding or the number of samples.
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
        # One bit less than the mantissa, so that the centres of equal intervals of (0, 1) are exact.
        bits, dtype = (52, torch.float64) if like.dtype == torch.float64 else (23, torch.float32)
        return (shifted(hashes, 64 - bits).to(dtype) + 0.5) * 2.0**-bits
