"""A model that remembers which chance it was given, for which examples, and what its dropout did."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.model import Model, Prediction
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


@dataclass(frozen=True)
class Pass:
    """One batch that went through the model; ``draws`` where single samples were asked for."""

    training: bool
    draws: bool
    inputs: Structure
    noise: Tensor
    dropped: Tensor
    weight: Tensor

    @property
    def keys(self) -> list[int]:
        return self.inputs.key.tolist()


class Witness(Model):
    """Puts out noise times a weight, in the place of points or of scalars of a graph."""

    deterministic = False
    fixed_samples = None

    def __init__(self, signature: Signature, seen: list[Pass]) -> None:
        super().__init__()
        self.signature, self.seen = signature, seen
        self.weight = nn.Parameter(torch.randn(signature.output_channels))
        self.dropout = nn.Dropout(0.5)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (torch.randn(len(x), samples, dtype=torch.float64, generator=generator),)

    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        self._remember(x, noise, draws=False)
        return Prediction(self._values(x, noise[0]).mean(1))

    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        noise = self.noise(x, samples, generator)
        self._remember(x, noise, draws=True)
        return self._values(x, noise[0])

    def _remember(self, x: Structure, noise: Noise, draws: bool) -> None:
        dropped = self.dropout(torch.ones(64))
        self.seen.append(Pass(self.training, draws, x, noise[0], dropped, self.weight.detach().clone()))

    def _values(self, x: Structure, noise: Tensor) -> Tensor:
        scaled = noise[..., None].to(self.weight) * self.weight
        if self.signature.output is Representation.GRAPH_SCALARS:
            return scaled
        return x.points[:, None, :, :, :1] + scaled[:, :, None, None]


def numbers(passes: list[Pass]) -> set[float]:
    """All noise of these passes: no two draws from one law on 53 bits are equal."""
    return {value for one in passes for value in one.noise.flatten().tolist()}


def count(passes: list[Pass]) -> int:
    return sum(one.noise.numel() for one in passes)
