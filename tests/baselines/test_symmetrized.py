"""The one formula against direct enumeration, and that how it is computed never shows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.bases.base_model import BaseModel
from baselines.build import build
from baselines.model import Model
from baselines.samplers.sampler import Sample, Sampler
from baselines.symmetrized import Symmetrized, agreement
from harness.registry import method
from tasks.symmetry.element import LinearMap, Permutation, Product
from tasks.symmetry.groups import group
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_particles


class FixedSampler(Sampler):
    """The given elements with the given weights."""

    def __init__(self, sample: Sample) -> None:
        super().__init__(group(("S_n",)))
        self.sample = sample

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (torch.zeros(len(x), samples),)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        return self.sample


class FirstNodesEdges(BaseModel):
    """A function that depends on order: the features of node 0, weighted by its edges."""

    def forward(self, x: Structure) -> Tensor:
        return (x.edge_scalars[:, 0] * x.node_scalars.cumsum(1)).sum(1)


def test_all_of_s5() -> None:
    """Averaging over every permutation equals the plain mean over relabelled copies, written as loops."""
    x = random_graphs(2, 5, padded=False)
    everything = torch.tensor(list(itertools.permutations(range(5))))
    element = Permutation.from_images(everything.expand(2, -1, -1))
    base = FirstNodesEdges()
    model = Symmetrized(base, FixedSampler(Sample(element)), Representation.GRAPH_SCALARS).eval()
    expected = []
    for features, edges in zip(x.node_scalars, x.edge_scalars, strict=True):
        values = []
        for order in itertools.permutations(range(5)):
            relabelled = Structure.build(
                torch.ones(1, 5, dtype=torch.bool),
                node_scalars=features[list(order)][None],
                edge_scalars=edges[list(order)][:, list(order)][None],
            )
            values.append(base(relabelled)[0])
        expected.append(torch.stack(values).mean(0))
    torch.testing.assert_close(model(x, 120).value, torch.stack(expected))


def test_quadrature_on_so2() -> None:
    """On a grid of angles the mean of x_1^2 over rotations of the plane is half the squared norm."""
    angles = torch.arange(64, dtype=torch.float64) * (2 * torch.pi / 64)
    cosine, sine = angles.cos(), angles.sin()
    matrices = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    x = Structure.build(torch.ones(3, 1, dtype=torch.bool), points=torch.randn(3, 1, 2, 1, dtype=torch.float64))
    square = FirstCoordinateSquared()
    sampler = FixedSampler(Sample(LinearMap(matrices.expand(3, -1, -1, -1))))
    model = Symmetrized(square, sampler, Representation.GRAPH_SCALARS)
    expected = x.points.square().sum((1, 2)) / 2
    torch.testing.assert_close(model.eval()(x, 64).value, expected)


class FirstCoordinateSquared(BaseModel):
    def forward(self, x: Structure) -> Tensor:
        return x.points[:, 0, 0].square()


def test_weights() -> None:
    x = random_graphs(2, 4, padded=False)
    element = group(("S_n",)).random(x, 3, torch.Generator().manual_seed(0))
    weight = torch.tensor([[1.0, 2.0, 5.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    base = FirstNodesEdges()
    values = base(x.acted(element.inverse())).unflatten(0, (2, 3))
    expected = (values * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
    model = Symmetrized(base, FixedSampler(Sample(element, weight)), Representation.GRAPH_SCALARS)
    torch.testing.assert_close(model.eval()(x, 3).value, expected)
    torch.testing.assert_close(model.train()(x, 3).value, expected)
    torch.testing.assert_close(model.train()(x, 3, chunk=2).value, expected)


SAMPLED = ["ga", "fa", "ps"]


def model_for(name: str, x: Structure, symmetry: tuple[str, ...], sampler: Mapping[str, Any] | None = None) -> Model:
    card = method(name)
    particles = x.points.shape[-1] > 0
    output = Representation.NODE_POINTS if particles else Representation.GRAPH_SCALARS
    signature = Signature.of(x, output, 1)
    assert card.sampler is not None
    torch.manual_seed(0)
    return build(card, signature, symmetry, card.base.params, {**card.sampler.params, **(sampler or {})}).double()


@pytest.mark.parametrize("sampler", SAMPLED)
@pytest.mark.parametrize("particles", [False, True])
@given(chunk=st.integers(1, 9))
def test_chunks_change_no_prediction(sampler: str, particles: bool, chunk: int) -> None:
    x = random_particles(3, 4) if particles else random_graphs(3, 6)
    model = model_for(f"mlp-{sampler}", x, ("S_n", "E(3)") if particles else ("S_n",)).eval()
    whole = model(x, 8, torch.Generator().manual_seed(1)).value
    torch.testing.assert_close(model(x, 8, torch.Generator().manual_seed(1), chunk=chunk).value, whole)
    drawn = model.draws(x, 8, torch.Generator().manual_seed(1), chunk=chunk)
    torch.testing.assert_close(drawn.mean(1), whole)


@pytest.mark.parametrize("sampler", SAMPLED)
def test_chunks_change_no_gradient(sampler: str) -> None:
    x = random_graphs(3, 6)
    model = model_for(f"mlp-{sampler}", x, ("S_n",)).train()
    gradients = []
    for chunk in (None, 1, 3):
        model.zero_grad()
        prediction = model(x, 7, torch.Generator().manual_seed(1), chunk=chunk)
        penalty = 0 if prediction.penalty is None else prediction.penalty
        (prediction.value.square().mean() + penalty).backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for other in gradients[1:]:
        for gradient, expected in zip(other, gradients[0], strict=True):
            torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("sampler", ["none", *SAMPLED, "canonical"])
def test_padding_and_batch_order_do_not_leak(sampler: str) -> None:
    """More absent nodes, or other graphs in the batch, leave the law of predictions as it is."""
    x = random_graphs(4, 6)
    padded = x.padded(9)
    model = model_for(f"gin_id-{sampler}", padded, ("S_n",)).eval()
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        one = model.draws(padded[:1], 4000, torch.Generator().manual_seed(1))[0]
        among = model.draws(padded[order], 4000, torch.Generator().manual_seed(2))[1]
    if model.deterministic:
        torch.testing.assert_close(one, among)
        return
    spread = (one.var(0) / len(one) + among.var(0) / len(among)).sqrt() if len(one) > 1 else torch.full((1,), 1e-3)
    assert ((one.mean(0) - among.mean(0)).abs() <= 5 * spread + 1e-12).all()


@pytest.mark.parametrize("sampler", ["ga", "ps"])
def test_single_and_double_precision_agree(sampler: str) -> None:
    x = random_graphs(3, 6)
    model = model_for(f"mlp-{sampler}", x, ("S_n",)).eval()
    with torch.no_grad():
        precise = model(x, 500, torch.Generator().manual_seed(1)).value
        single = model.float()(x.to("cpu", torch.float32), 500, torch.Generator().manual_seed(2)).value
    assert (precise - single).abs().max() < 0.05 * (1 + precise.abs().max())


def test_a_deterministic_method_has_one_draw() -> None:
    x = random_particles(3, 5)
    model = model_for("gnn-fa", x, ("E(3)",)).eval()
    assert model.deterministic and model.fixed_samples == 8
    draws = model.draws(x, 50)
    assert draws.shape[:2] == (3, 1)
    torch.testing.assert_close(draws[:, 0], model(x, 3).value)


def test_the_group_to_symmetrize_over_can_be_chosen() -> None:
    x = random_particles(3, 5)
    model = model_for("mlp-fa", x, ("S_n", "E(3)"), {"group": ["SE(3)"]}).eval()
    assert isinstance(model, Symmetrized)
    assert model.sampler.group.name == "SE(3)" and model.fixed_samples == 4


def test_the_mean_of_permutation_matrices_is_that_of_a_loop() -> None:
    images = torch.stack([torch.randperm(5) for _ in range(6)]).unflatten(0, (2, 3))
    expected = torch.zeros(2, 5, 5)
    for graph, sample, node in itertools.product(range(2), range(3), range(5)):
        expected[graph, node, images[graph, sample, node]] += 1 / 3
    torch.testing.assert_close(Permutation.from_images(images).mean_matrix, expected)


def test_agreement_is_zero_for_one_permutation_and_largest_for_uniform_ones() -> None:
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 4:] = False
    same = Permutation.from_images(torch.tensor([[2, 0, 1, 3, 4, 5]]).expand(2, 50, -1))
    drawn = torch.rand(2, 5000, 6).masked_fill(~mask[:, None], 2).argsort(-1)
    uniform = Permutation.from_images(torch.where(mask[:, None], drawn, torch.arange(6)))
    two = Product((uniform, LinearMap(torch.eye(3).expand(2, 5000, -1, -1))))

    def entropy(element: Permutation | Product) -> float:
        return agreement(Sample(element), mask)["permutation_entropy"].item()

    assert entropy(same) == pytest.approx(0, abs=1e-6)
    assert entropy(uniform) == entropy(two) == pytest.approx(math.log(6) + math.log(4), rel=1e-2)
    assert agreement(Sample(same.part(0, 1)), mask) == {}
    assert agreement(Sample(two.factors[1]), mask) == {}


def test_elements_that_weigh_differently_have_no_agreement() -> None:
    """It is one of draws that count alike."""
    mask = torch.ones(2, 4, dtype=torch.bool)
    element = Permutation.from_images(torch.stack([torch.randperm(4) for _ in range(6)]).unflatten(0, (2, 3)))
    assert agreement(Sample(element), mask)["permutation_entropy"] > 0
    assert agreement(Sample(element, torch.rand(2, 3)), mask) == {}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, None])
@pytest.mark.parametrize("training", [False, True])
def test_the_base_network_sees_no_more_samples_at_a_time_than_a_chunk(training: bool, chunk: int | None) -> None:
    """All of them, each once; in training once more in the backward pass, where there are chunks."""
    x = random_graphs(3, 6)
    model = model_for("mlp-ga", x, ("S_n",)).train(training)
    assert isinstance(model, Symmetrized)
    seen: list[int] = []
    model.base.register_forward_pre_hook(lambda module, given: seen.append(len(given[0]) // 3))
    value = model(x, 7, torch.Generator().manual_seed(1), chunk=chunk).value
    assert sum(seen) == 7 and max(seen) == min(chunk or 7, 7)
    if training:
        value.sum().backward()
        assert sum(seen) == (14 if (chunk or 7) < 7 else 7)


def test_what_a_sampler_knows_of_a_data_set_beforehand_is_known_to_its_method() -> None:
    x = random_graphs(3, 6)
    assert model_for("mlp-fa", x, ("S_n",)).prepared(x).ranks.shape[-1] == 1  # type: ignore[union-attr]
    assert model_for("mlp-ga", x, ("S_n",)).prepared(x) is x


@pytest.mark.parametrize("sampler", ["canonical", "ps"])
def test_as_much_noise_is_drawn_as_a_sampler_takes(sampler: str) -> None:
    """For the one element of a canonical form, whatever number is asked for."""
    x = random_graphs(3, 6)
    model = model_for(f"mlp-{sampler}", x, ("S_n",))
    count = 1 if sampler == "canonical" else 5
    assert {part.shape[1] for part in model.noise(x, 5, None)} == {count}
