"""The n-body files: structures, the sampler with its weights, and what is common to both base models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import mse_loss

from baselines.bases.base_model import BaseModel
from baselines.catalogue import PROBABILISTIC
from baselines.samplers.probabilistic import ProbabilisticSymmetrization
from baselines.samplers.sampler import Sample
from baselines.symmetrized import Symmetrized
from tasks.nbody import charged_particles
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.golden.vectors import STATISTICS, Vectors, below, both, load

MODES = ("eval", "train", "dropout")
DROPOUT = 0.08


class Kept(nn.Module):
    """Dropout with a given mask, true where values are kept."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, values: Tensor) -> Tensor:
        return values * self.mask.reshape(values.shape) / (1 - DROPOUT)


def structures(found: Vectors) -> Structure:
    return charged_particles(found["positions"], found["velocities"], found["charges"])


def signature(x: Structure) -> Signature:
    return Signature.of(x, Representation.NODE_POINTS, 1)


def sampler(found: Vectors, symmetry: tuple[str, ...], mode: str, names: dict[str, str]) -> ProbabilisticSymmetrization:
    published: dict[str, Any] = {
        "q": "vector_neurons",
        "noise": "normal",
        "width": 64,
        "neighbours": 4,
        "temperature": 0.1,
        "dropout": DROPOUT if mode == "dropout" else 0.0,
        "dropout_unit": "coordinate",
    }
    x = structures(found)
    made = ProbabilisticSymmetrization(group(symmetry), signature(x), PROBABILISTIC.settings_from(published)).double()
    load(made.network, below(found, "q."), names)
    return made


def block_names(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    yield f"{theirs}.features.weight", f"{ours}.features.weight"
    yield f"{theirs}.directions.weight", f"{ours}.directions.weight"
    yield from both(f"{theirs}.norm", f"{ours}.norm.norm")
    for statistic, name in STATISTICS.items():
        yield f"{theirs}.norm.{statistic}", f"{ours}.norm.norm.{name}"


def rotation_names() -> Iterator[tuple[str, str]]:
    yield from block_names("first", "trunk.block")
    yield "first.pool.directions.weight", "trunk.pool.directions.weight"
    yield "rotation.pool.directions.weight", "rotation.pool.directions.weight"
    yield "rotation.vectors.weight", "rotation.vectors.weight"


def permutation_names() -> Iterator[tuple[str, str]]:
    yield from block_names("second", "permutation.second.block")
    yield "second.pool.directions.weight", "permutation.second.pool.directions.weight"
    yield from block_names("third", "permutation.third")
    for index in (0, 1):
        yield from block_names(f"frame{index}", f"permutation.frame.frame.{index}")
    yield "frame2.weight", "permutation.frame.frame.2.weight"
    yield from both("score", "permutation.score")


def forward(found: Vectors, model: Symmetrized) -> tuple[Tensor, Tensor, Sample]:
    """Predicted positions ``[B, 5, 3]``, their loss, and the sample behind them."""
    x = structures(found)
    sample = model.sampler(x, (found["noise.vectors"], found["noise.ties"], found["noise.ranks"]))
    value, mass = model._weighted_sum(x, sample)
    output = model._placed(x, value / mass)[..., 0]
    return output, mse_loss(output, found["targets"]), sample


def symmetrized(base: BaseModel, sampler: ProbabilisticSymmetrization, mode: str) -> Symmetrized:
    return Symmetrized(base, sampler, Representation.NODE_POINTS).train(mode != "eval")
