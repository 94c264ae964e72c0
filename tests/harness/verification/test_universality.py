"""The check of universality: what it fits is equivariant, and its inputs hide what colour refinement does not see."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from baselines.catalogue.shared import GraphNetworkSettings
from baselines.equivariant.gin import GIN as GINNetwork
from baselines.model import Equivariant
from harness.verification import universality
from harness.verification.universality import (
    GRAPH_NODES,
    INPUTS,
    SIGNIFICANCE,
    Universality,
    errors_of,
    examples,
    neighbourhoods,
    standardised,
    teacher,
    turned_mean,
    turned_means,
    turns,
)
from tasks.graphs import constant_and_degree
from tasks.symmetry.element import Permutation, Product
from tasks.symmetry.groups import GeometricGroup, factors, group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_momenta, random_particles

GROUPS = [("S_n", "O(3)"), ("S_n", "SE(3)"), ("S_n", "Sim(3)"), ("S_n", "Aff(3)"), ("D_n", "U(2)"), ("SO+(1,3)",)]


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def particles_for(names: tuple[str, ...]) -> Structure:
    if names == ("SO+(1,3)",):
        return random_momenta(4, 5)
    dimension = next(factor.dimension for factor in factors(group(names)) if isinstance(factor, GeometricGroup))
    return random_particles(4, 5, dimension=dimension)


def relative_gap(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("names", GROUPS, ids=" x ".join)
@pytest.mark.parametrize("output", [Representation.NODE_VECTORS, Representation.GRAPH_SCALARS])
def test_the_target_is_equivariant_in_space(names: tuple[str, ...], output: Representation) -> None:
    x, symmetry = particles_for(names), group(names)
    signature = Signature.of(x, output, 2)
    g = symmetry.random(x, 1, chance(1))
    expected = g.act(teacher(x, symmetry, signature, chance())[:, None], output)[:, 0]
    assert relative_gap(teacher(x.acted(g), symmetry, signature, chance()), expected) < 1e-9


@pytest.mark.parametrize(
    "output", [Representation.GRAPH_SCALARS, Representation.NODE_SCALARS, Representation.EDGE_SCALARS]
)
def test_the_target_is_equivariant_on_graphs_with_padding(output: Representation) -> None:
    x, symmetry = random_graphs(6, 7), group(("S_n",))
    signature = Signature.of(x, output, 3)
    g = symmetry.random(x, 1, chance(1))
    expected = g.act(teacher(x, symmetry, signature, chance())[:, None], output)[:, 0]
    assert relative_gap(teacher(x.acted(g), symmetry, signature, chance()), expected) < 1e-12


def test_absent_nodes_do_not_matter_to_the_target() -> None:
    x, symmetry = random_graphs(6, 7), group(("S_n",))
    for output in (Representation.GRAPH_SCALARS, Representation.NODE_SCALARS):
        signature = Signature.of(x, output, 3)
        padded = teacher(x.padded(9), symmetry, signature, chance())
        expected = teacher(x, symmetry, signature, chance())
        assert relative_gap(padded[:, :7] if output.has_nodes else padded, expected) < 1e-12


def one_step(x: Structure) -> Product:
    """The generator of the cyclic group that structures are averaged over."""
    counts = x.node_counts[:, None, None]
    place = torch.arange(x.nodes)
    turned = turns(x)
    return Product(
        (Permutation.from_images(torch.where(place < counts, (place + 1) % counts, place)), turned.part(1, 2))
    )


@pytest.mark.parametrize("x", [random_graphs(6, 7), random_particles(3, 5)], ids=["padded graphs", "particles"])
def test_the_mean_over_a_cyclic_group_has_it_for_a_stabiliser(x: Structure) -> None:
    mean, g = turned_mean(x), one_step(x)
    moved = mean.acted(g)
    for name in ("node_scalars", "points", "vectors", "edge_scalars"):
        torch.testing.assert_close(getattr(moved, name), getattr(mean, name), atol=1e-12, rtol=0)
        assert torch.equal(mean.mask, x.mask)
    torch.testing.assert_close(mean.centroid, x.centroid)
    assert (mean.edge_scalars - x.edge_scalars).abs().max() > 0.1


def test_colour_refinement_sees_no_difference_between_inputs_with_stabilisers() -> None:
    """A GIN gives all of them one embedding; the target does not."""
    x = random_graphs(12, 8, padded=False)
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    found = examples(x, group(("S_n",)), signature, chance(2))
    plain, stabilised = found.inputs[: found.plain], found.inputs[found.plain :]
    assert len(plain) == len(stabilised) == INPUTS and found.inputs.nodes == GRAPH_NODES
    network = GINNetwork(signature, GraphNetworkSettings(width=32)).double()
    embeddings = network(stabilised)
    torch.testing.assert_close(embeddings, embeddings[:1].expand_as(embeddings))
    assert network(plain).std() > 1e-2
    for targets in (found.targets[: found.plain], found.targets[found.plain :]):
        torch.testing.assert_close(targets.mean(0), torch.zeros(1, dtype=torch.float64), atol=1e-12, rtol=0)
        torch.testing.assert_close(targets.square().mean(0), torch.ones(1, dtype=torch.float64))


def test_the_means_that_vary_most_are_taken() -> None:
    """All cyclic means of a complete graph are one graph, and those of a star are too: a path is taken."""
    complete = 1 - torch.eye(4, dtype=torch.float64)
    star, path = torch.zeros(4, 4, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)
    star[0, 1:] = 1
    path[torch.arange(3), torch.arange(1, 4)] = 1
    x = constant_and_degree(torch.stack([complete, star + star.T, path + path.T]))
    edges = turned_means(x, chance()).edge_scalars
    assert edges.sum((1, 2, 3)).allclose(torch.tensor(6.0, dtype=torch.float64)) and edges.var(0).max() > 0.01
    with pytest.raises(ValueError, match="all these inputs are equivalent"):
        signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
        examples(x[:1][torch.zeros(4, dtype=torch.long)], group(("S_n",)), signature, chance())


def test_neighbourhoods_are_connected_and_keep_what_they_hold() -> None:
    ring = torch.eye(10, dtype=torch.float64).roll(1, 0)
    x = constant_and_degree((ring + ring.T).expand(5, -1, -1)).padded(12)
    types = torch.arange(12, dtype=torch.float64)[:, None].expand(5, -1, 1)
    found = neighbourhoods(replace(x, node_scalars=types), 5, chance())
    assert found.mask.all() and found.nodes == 5
    assert (found.adjacency.sum((1, 2)) == 8).all()  # four edges of the ring, each counted twice
    names = found.node_scalars[..., 0]
    gap = (names[:, :, None] - names[:, None]).abs()
    assert torch.equal(found.adjacency > 0, (gap == 1) | (gap == 9))
    assert names[:, 0].unique().numel() > 1


@pytest.mark.parametrize(
    ("plain", "stabilised", "p_value", "fits"),
    [
        ((0.9, 0.5, 0.3), (1.0, 0.6, 0.4), 1e-3, True),
        ((0.9, 0.5, 0.3), (1.0, 1.0, 1.0), 1e-3, False),
        ((1.2, 1.4, 1.3), (1.0, 0.6, 0.4), 1e-3, False),
        ((0.9, 0.5, 0.3), (1.0, 0.6, 0.4), 2 * SIGNIFICANCE, False),
        ((0.1, 0.1, 0.1), (0.1, 0.1, 0.1), 0.9, True),
        ((0.9, 0.5, 0.3), (), 1e-3, True),
        ((0.2, 0.2, 0.19), (0.9, 0.5, 0.3), 1e-3, True),
        ((0.9, 0.9, 0.7), (0.9, 0.5, 0.3), 1e-3, False),
    ],
)
def test_what_errors_say(plain: tuple[float, ...], stabilised: tuple[float, ...], p_value: float, fits: bool) -> None:
    assert Universality((4, 16, 64), plain, stabilised, p_value).fits == fits


def test_targets_of_which_a_channel_does_not_vary_are_none() -> None:
    values = torch.stack([torch.arange(4.0), torch.full((4,), 3.0)], -1)
    exists = torch.ones(4, 2, dtype=torch.bool)
    assert len(standardised(values, exists, Representation.GRAPH_SCALARS)) == 0
    found = standardised(values[:, :1], exists[:, :1], Representation.GRAPH_SCALARS)
    assert found.mean().abs() < 1e-6 and found.square().mean() == pytest.approx(1.0)


class Recalled(nn.Module):
    """Puts out what it was given for as many inputs, times a weight that is not trained away from 1."""

    def __init__(self, values: Tensor, weight: float) -> None:
        super().__init__()
        self.values, self.weight = values.float(), nn.Parameter(torch.tensor(weight))

    def forward(self, x: Structure) -> Tensor:
        return self.values[x.key] * self.weight.round()


@pytest.mark.parametrize("output", [Representation.GRAPH_SCALARS, Representation.NODE_SCALARS])
def test_an_error_of_one_is_that_of_zero_and_inputs_are_moved(
    output: Representation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever recalls targets by the input's number is right where these do not move with the input."""
    monkeypatch.setattr(universality, "STEPS", 1)
    monkeypatch.setattr(universality, "CHECK_EVERY", 1)
    x, symmetry = random_graphs(12, 8, padded=False), group(("S_n",))
    found = examples(x, symmetry, Signature.of(x, output, 1), chance(2))
    count = len(found.inputs)
    found = found._replace(inputs=replace(found.inputs, key=torch.arange(count)))
    zero = errors_of(Equivariant(Recalled(found.targets, 0.0)), found, symmetry, output, 0)
    for kind in (zero[: found.plain], zero[found.plain :]):
        assert kind.mean() == pytest.approx(1.0, rel=1e-5)
    recalled = errors_of(Equivariant(Recalled(found.targets, 1.0)), found, symmetry, output, 0)
    moves = output is Representation.NODE_SCALARS
    assert recalled[: found.plain].max() > 0.1 if moves else recalled.max() < 1e-9
