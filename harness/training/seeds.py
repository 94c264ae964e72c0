"""Every stream of chance in a run is a function of its seed and of what the stream is for.

An epoch's order of examples, noise and dropout depend on seed and epoch alone, so that a resumed run draws what the
uninterrupted one would have drawn, and an evaluation draws the same whenever it happens.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def reseed(generator: torch.Generator, seed: int, *purpose: str | int) -> torch.Generator:
    """``generator`` where the stream for one purpose begins, whatever it drew before.

    A generator that is kept can be captured with the kernels that draw from it; the numbers are those of a new one.
    """
    return generator.manual_seed(derive(seed, *purpose))


def generator(device: torch.device, seed: int, *purpose: str | int) -> torch.Generator:
    """A new generator on ``device`` for one purpose."""
    return reseed(torch.Generator(device), seed, *purpose)
