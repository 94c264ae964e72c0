"""The conformance suite passes built-in samplers and finds what is wrong with broken ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from baselines.cards import SamplerCard
from baselines.catalogue import FRAME_AVERAGING, GROUP_AVERAGING, NO_SYMMETRIZATION
from baselines.samplers.sampler import Sample, Sampler
from harness.conformance.suite import check_sampler, checks_of
from harness.errors import ConformanceError
from tasks.settings import NoSettings
from tasks.symmetry.element import Permutation
from tasks.symmetry.groups import Group, SymmetricGroup
from tasks.symmetry.noise import Generator, Noise, uniform
from tasks.symmetry.structure import Signature, Structure

BUILT_IN = [check for card in (NO_SYMMETRIZATION, GROUP_AVERAGING) for check in checks_of(card)]


@pytest.mark.parametrize("check", BUILT_IN, ids=str)
def test_built_in_samplers_conform(check: Callable[[], None]) -> None:
    check()


def test_on_a_given_task() -> None:
    check_sampler(FRAME_AVERAGING, task="shapes_o3", task_params={"points": 6})


def test_a_group_smaller_than_that_of_the_task_is_found_out() -> None:
    with pytest.raises(ConformanceError, match=r"mlp-fa is not equivariant under S_n x O\(3\)"):
        check_sampler(FRAME_AVERAGING, task="shapes_o3", task_params={"points": 6}, settings={"group": ["O(3)"]})


class Sorts(Sampler):
    """A sampler that conforms: nodes in the order of their degrees and noise."""

    def __init__(self, group: Group, signature: Signature, settings: NoSettings) -> None:
        super().__init__(group, signature)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (uniform((len(x), samples, x.nodes), x.edge_scalars, generator),)

    def scores(self, x: Structure, noise: torch.Tensor) -> torch.Tensor:
        return x.adjacency.sum(-1)[:, None] + 2 * noise

    def forward(self, x: Structure, noise: Noise) -> Sample:
        assert isinstance(self.group, SymmetricGroup)
        return Sample(self.group.head(x, self.scores(x, noise[0])))


class ReadsPlaces(Sorts):
    def scores(self, x: Structure, noise: torch.Tensor) -> torch.Tensor:
        return torch.arange(x.nodes).to(noise) / x.nodes + noise


class ReadsPadding(Sorts):
    def scores(self, x: Structure, noise: torch.Tensor) -> torch.Tensor:
        return x.adjacency.sum(-1)[:, None] * (x.nodes - x.node_counts)[:, None, None] + 2 * noise


class IgnoresItsGenerator(Sorts):
    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return super().noise(x, samples, None)


class DrawsLate(Sorts):
    def forward(self, x: Structure, noise: Noise) -> Sample:
        return super().forward(x, (torch.rand_like(noise[0]),))


class DrawsTwice(Sorts):
    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return super().noise(x, 2 * samples, generator)


class KeepsOne(Sorts):
    def forward(self, x: Structure, noise: Noise) -> Sample:
        return Sample(super().forward(x, noise).element.part(0, 1))


class MovesAbsentNodes(Sorts):
    def forward(self, x: Structure, noise: Noise) -> Sample:
        return Sample(Permutation.from_images(noise[0].argsort(-1)))


def uncovered(group: object, inputs: object) -> str | None:
    return None if tuple(group) == ("S_n",) and "edges" in inputs else "it permutes nodes"  # type: ignore[arg-type,operator]


SOUND = SamplerCard(
    name="mine", title="Mine", version="1", source="", implementation=Sorts, settings=NoSettings, uncovered=uncovered
)
BROKEN: list[tuple[type[Sampler], str, str]] = [
    (ReadsPlaces, "law", "do not have the law of g' times those drawn for x"),
    (ReadsPlaces, "symmetrization", "mlp-mine is not equivariant under S_n"),
    (ReadsPadding, "padding", "absent nodes change the law"),
    (IgnoresItsGenerator, "determinism", "draw all random numbers from the generator that is given"),
    (DrawsLate, "determinism", "draw all random numbers in the method 'noise'"),
    (DrawsTwice, "elements", r"should have the shape \[8, 3, ...\], not \[8, 6, 5\]"),
    (KeepsOne, "elements", "3 elements should be drawn for each structure, not 1"),
    (MovesAbsentNodes, "elements", "move absent nodes"),
]


@pytest.mark.parametrize("check", checks_of(SOUND), ids=str)
def test_a_sound_sampler_of_a_plug_in_conforms(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(("kind", "name", "sentence"), BROKEN)
def test_a_broken_sampler_is_found_out(kind: type[Sampler], name: str, sentence: str) -> None:
    broken = replace(SOUND, implementation=kind)
    check = next(check for check in checks_of(broken) if check.name.startswith(name))
    with pytest.raises(ConformanceError, match=sentence):
        check()


def test_a_guarantee_of_none_is_not_held_against_a_sampler() -> None:
    names = [check.name for check in checks_of(replace(SOUND, implementation=ReadsPlaces, guarantee="none"))]
    assert not any(name.startswith(("law", "symmetrization")) for name in names)


def test_a_sampler_that_covers_nothing_asks_for_a_task() -> None:
    with pytest.raises(ConformanceError, match="give a task on which it works"):
        check_sampler(replace(SOUND, uncovered=lambda group, inputs: "it covers nothing"))
