"""The checks find what they should: rates, laws, and methods that are broken on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.bases.mlp import MLP
from baselines.catalogue.base_models import MLPSettings
from baselines.catalogue.samplers import FrameSettings, GroupSettings
from baselines.model import Model, Prediction
from baselines.samplers.frame_averaging import FrameAveraging
from baselines.samplers.group_averaging import GroupAveraging
from baselines.samplers.sampler import Sample, Sampler
from baselines.symmetrized import Symmetrized
from harness.verification.equivariance import Equivariance, coordinates, equivariance, law
from harness.verification.statistics import Law
from tasks.symmetry.element import LinearMap, Permutation
from tasks.symmetry.groups import EuclideanGroup, Group, OrthogonalGroup, SymmetricGroup
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_particles

SAMPLES = (1, 4, 16, 64)
GRAPHS = random_graphs(6, 5)
PARTICLES = random_particles(6, 4)
SIGNATURE = Signature.of(PARTICLES, Representation.NODE_POINTS, 1)


def checks(sampler: Sampler, x: Structure) -> tuple[Equivariance, Law]:
    """Both checks of a small random MLP with this sampler, over the sampler's group."""
    geometric = x.points.shape[-1] > 0
    output = Representation.NODE_POINTS if geometric else Representation.GRAPH_SCALARS
    base = MLP(Signature.of(x, output, 1), MLPSettings(widths=(16,), activation="tanh"))
    model = Symmetrized(base, sampler, output).double().eval()
    g = sampler.group.random(x, 1, torch.Generator().manual_seed(1))
    return equivariance(model, x, g, output, SAMPLES, 16), law(sampler, x, x.acted(g), g, 500)


class NodeOrder(GroupAveraging):
    """Haar, but for one half of the draws it puts the nodes in the order of the input."""

    def forward(self, x: Structure, noise: Noise) -> Sample:
        drawn = self.group.uniform(x, noise)
        assert isinstance(drawn, Permutation)
        own = torch.arange(x.nodes).expand_as(drawn.images)
        return Sample(Permutation.from_images(torch.where(noise[0][..., :1] < 0.5, own, drawn.images)))


class OwnChance(GroupAveraging):
    """Haar, whose draws are those of the structures at hand: a test of other ones has other chance."""

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        seed = int((1e6 * x.points.sum()).item()) + (generator.initial_seed() if generator else 0)
        return self.group.noise(x, samples, torch.Generator().manual_seed(seed % 2**62))


class WrongSigns(Sampler):
    """Principal axes with the signs of whatever the eigensolver returns, instead of every choice."""

    fixed_samples = 1
    deterministic = True

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return ()

    def forward(self, x: Structure, noise: Noise) -> Sample:
        points = x.points[..., 0]
        return Sample(LinearMap(torch.linalg.eigh(points.mT @ points).eigenvectors[:, None]))


class Stretched(LinearMap):
    """Rotations that also double what they act on, which is no action: g h then stretches twice."""

    def act(self, values: Tensor, representation: Representation) -> Tensor:
        return 2 * super().act(values, representation) if representation.is_geometric else values

    def inverse(self) -> Stretched:
        return Stretched(self.matrix.mT)

    def compose(self, other: LinearMap) -> Stretched:
        return Stretched(self.matrix @ other.matrix)


class StretchedGroup(OrthogonalGroup):
    def uniform(self, x: Structure, noise: Noise) -> Stretched:
        return Stretched(super().uniform(x, noise).matrix)


class Weighted(Sampler):
    """The 8 principal frames, with whatever weights."""

    fixed_samples = 8
    deterministic = True

    def __init__(self, group: Group, signature: Any, params: Mapping[str, Any]) -> None:
        super().__init__(group)
        self.frames = FrameAveraging(group, signature, FrameSettings())
        self.weights = params["weights"]

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return self.frames.noise(x, samples, generator)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        element = self.frames(x, noise).element
        return Sample(element, weight=self.weights(coordinates(element), x))


def test_group_averaging_passes_both() -> None:
    for group, x in ((SymmetricGroup(), GRAPHS), (OrthogonalGroup(3), PARTICLES), (EuclideanGroup(3, True), PARTICLES)):
        error, elements = checks(GroupAveraging(group, None, GroupSettings()), x)
        assert error.symmetry == "Monte Carlo" and error.single is None
        assert elements.agrees and elements.statistics > 20


def test_a_whole_frame_is_exact() -> None:
    error, elements = checks(FrameAveraging(EuclideanGroup(3), SIGNATURE, FrameSettings()), PARTICLES)
    assert error.symmetry == "exact" and error.single is not None and elements.agrees


def test_a_sampler_that_reads_the_node_order_fails_both() -> None:
    error, elements = checks(NodeOrder(SymmetricGroup(), None, {}), GRAPHS)
    assert error.symmetry == "none" and error.slope is not None and error.slope > -0.4
    assert not elements.agrees


def test_a_frame_with_too_few_signs_fails_both() -> None:
    error, elements = checks(WrongSigns(OrthogonalGroup(3)), PARTICLES)
    assert error.symmetry == "none" and error.errors[0] > 1e-3
    assert not elements.agrees


def test_an_action_that_is_no_homomorphism_fails_the_error_alone() -> None:
    error, elements = checks(GroupAveraging(StretchedGroup(3), None, GroupSettings()), PARTICLES)
    assert error.symmetry == "none"
    assert elements.agrees  # the elements themselves compose as they should


class ExactAlone(Model):
    """Symmetric to rounding with one sample, and a function of the first node with more."""

    deterministic, fixed_samples = False, None

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (torch.rand(len(x), samples, generator=generator, dtype=torch.float64),)

    def from_noise(self, x: Structure, noise: Noise, samples: int, chunk: int | None = None) -> Prediction:
        degree = x.adjacency.sum(-1)
        return Prediction((degree.sum(1) + (samples > 1) * degree[:, 0] * noise[0].mean(1))[:, None])

    def draws(self, x: Structure, samples: int, generator: Generator = None, chunk: int | None = None) -> Tensor:
        raise AssertionError("errors are those of predictions")


def test_a_method_is_exact_where_every_number_of_samples_is() -> None:
    g = SymmetricGroup().random(GRAPHS, 1, torch.Generator().manual_seed(1))
    found = equivariance(ExactAlone(), GRAPHS, g, Representation.GRAPH_SCALARS, SAMPLES, 16)
    assert found.errors[0] < 1e-12 < 1e-2 < found.errors[1] and found.single is None and found.symmetry == "none"


def test_weights_belong_to_the_law() -> None:
    """Equal weights keep the law; weights that read the pose do not."""

    def by_pose(entries: Tensor, x: Structure) -> Tensor:
        return 1.0 + 9.0 * (entries[..., 0] > 0)

    def equal(entries: Tensor, x: Structure) -> Tensor:
        return x.points.new_ones(entries.shape[:2])

    group = OrthogonalGroup(3)
    assert not checks(Weighted(group, SIGNATURE, {"weights": by_pose}), PARTICLES)[1].agrees
    assert checks(Weighted(group, SIGNATURE, {"weights": equal}), PARTICLES)[1].agrees


@pytest.mark.parametrize(
    ("slope", "error", "bias", "symmetry"),
    [
        (-0.5, 0.02, 0.5, "Monte Carlo"),
        (-0.46, 0.02, 0.5, "Monte Carlo"),
        (-0.3, 0.02, 0.5, "none"),
        (-0.7, 0.02, 0.5, "Monte Carlo"),
        (-0.5, 0.3, 0.5, "none"),
        (0.0, 0.01, 0.5, "none"),
        (-0.5, 0.02, 1e-4, "none"),
    ],
)
def test_what_a_slope_says(slope: float, error: float, bias: float, symmetry: str) -> None:
    assert Equivariance(SAMPLES, (1.0,) * 4, slope, error, bias).symmetry == symmetry


def test_many_statistics_of_one_law_are_one_test() -> None:
    """The smallest of their p-values is small by chance: a law that moves with the input seldom seems not to."""
    symmetry, found = OrthogonalGroup(3), []
    for seed in range(40):
        x = random_particles(4, 4, seed=seed)
        g = symmetry.random(x, 1, torch.Generator().manual_seed(seed))
        found.append(law(OwnChance(symmetry, None, {}), x, x.acted(g), g, 200).p_value)
    assert sum(p_value < 0.2 for p_value in found) <= 16 and max(found) <= 1.0
