"""Random streams of a run: each is a function of the seed and of the stream's purpose.

The order of examples, the noise and the dropout of an epoch depend only on the seed and the epoch, so that a resumed
run draws the same numbers as an uninterrupted one, and an evaluation draws the same numbers whenever it is done.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Returns a 63-bit seed for one purpose."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def reseed(generator: torch.Generator, seed: int, *purpose: str | int) -> torch.Generator:
    """Seeds ``generator`` for one purpose and returns it.

    A generator that is kept can be captured with the kernels that draw from it; its numbers are those of a new one.
    """
    return generator.manual_seed(derive(seed, *purpose))


def generator(device: torch.device, seed: int, *purpose: str | int) -> torch.Generator:
    """Returns a new generator on ``device`` for one purpose."""
    return reseed(torch.Generator(device), seed, *purpose)
