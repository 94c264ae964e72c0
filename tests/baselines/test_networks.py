"""Base models and equivariant networks: sizes, symmetries, padding, the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from baselines.build import load
from baselines.cards import BaseCard
from baselines.catalogue import BASES, EQUIVARIANT, SAMPLERS
from baselines.symmetrized import Symmetrized
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.predictions import prediction
from tests.structures import random_graphs, random_particles

CARDS = {card.name: card for card in (*BASES, *EQUIVARIANT)}
READS_GRAPHS = ["mlp", "gin_id", "transformer", "gin"]
READS_PARTICLES = ["mlp", "gnn", "transformer", "egnn"]


def network(card: BaseCard, x: Structure, output: Representation, **params: object) -> torch.nn.Module:
    signature = Signature.of(x, output, 3 if output is Representation.GRAPH_SCALARS else 1)
    return load(card.implementation)(signature, {**card.params, **params}).double().eval()


Predicts = Callable[[Structure], Tensor]


def for_graphs(name: str, x: Structure) -> Predicts:
    made = network(CARDS[name], x, Representation.GRAPH_SCALARS)
    return lambda y: prediction(made, y, Representation.GRAPH_SCALARS)


def for_particles(name: str, x: Structure) -> Predicts:
    made = network(CARDS[name], x, Representation.NODE_POINTS)
    return lambda y: prediction(made, y, Representation.NODE_POINTS)


@pytest.mark.parametrize(("name", "published"), [("transformer", 208_387), ("gnn", 92_103), ("fa_gnn", 92_103)])
def test_published_sizes(name: str, published: int) -> None:
    model = network(CARDS[name], random_particles(1, 5), Representation.NODE_POINTS)
    assert sum(parameter.numel() for parameter in model.parameters()) == published


@pytest.mark.parametrize("name", READS_GRAPHS)
def test_graph_networks_respect_what_their_card_says(name: str) -> None:
    x = random_graphs(6, 7)
    model = for_graphs(name, x)
    moved = x.acted(group(("S_n",)).random(x, 1, torch.Generator().manual_seed(1)))
    gap = (model(moved) - model(x)).abs().max().item()
    assert (gap < 1e-10) == ("S_n" in CARDS[name].respects)


@pytest.mark.parametrize("name", READS_PARTICLES)
@pytest.mark.parametrize("factor", ["S_n", "O(3)", "E(3)", "SE(3)"])
def test_particle_networks_respect_what_their_card_says(name: str, factor: str) -> None:
    x = random_particles(6, 5)
    model = for_particles(name, x)
    g = group((factor,)).random(x, 1, torch.Generator().manual_seed(1))
    expected = g.act(model(x)[:, None], Representation.NODE_POINTS)[:, 0]
    gap = (model(x.acted(g)) - expected).abs().max().item()
    assert (gap < 1e-10) == (factor in CARDS[name].respects)


@pytest.mark.parametrize("name", [name for name in READS_PARTICLES if name != "egnn"])
@pytest.mark.parametrize("sampler", ["haar", "canonical", "learned"])
def test_symmetrized_particle_networks_move_with_translations(name: str, sampler: str) -> None:
    """Base models read points as they are; a group with translations takes these to the centroid."""
    x = random_particles(4, 5)
    card = next(card for card in SAMPLERS if card.name == sampler)
    base = network(CARDS[name], x, Representation.NODE_POINTS)
    signature = Signature.of(x, Representation.NODE_POINTS, 1)
    elements = load(card.implementation)(group(("S_n", "E(3)")), signature, card.params).double()
    model = Symmetrized(base, elements, Representation.NODE_POINTS).eval()
    shifted = replace(x, points=x.points + 5)
    noise = model.noise(x, 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.from_noise(shifted, noise, 3).value, model.from_noise(x, noise, 3).value + 5)


@pytest.mark.parametrize("name", READS_GRAPHS)
def test_a_graph_is_embedded_alike_in_any_batch(name: str) -> None:
    x = random_graphs(6, 7)
    model = for_graphs(name, x)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(model(x[order]), model(x)[order])
    torch.testing.assert_close(model(x[2:3]), model(x)[2:3])


@pytest.mark.parametrize("name", ["gin"])
def test_padding_does_not_leak(name: str) -> None:
    x = random_graphs(6, 7)
    torch.testing.assert_close(for_graphs(name, x)(x.padded(11)), for_graphs_again(name, x))


def for_graphs_again(name: str, x: Structure) -> torch.Tensor:
    torch.manual_seed(0)
    return for_graphs(name, x)(x)


@pytest.mark.parametrize("name", ["gin_id", "transformer"])
def test_absent_nodes_do_not_leak_into_position_sensitive_networks(name: str) -> None:
    """Whatever stands where no node is must not matter: the features of absent nodes are overwritten."""
    x = random_graphs(6, 7)
    model = for_graphs(name, x)
    pooled = model(x)
    fewer = x[x.node_counts < 7]
    torch.testing.assert_close(model(fewer), pooled[x.node_counts < 7])
    assert torch.isfinite(pooled).all()


def test_layers_of_the_transformer_start_different() -> None:
    model = network(CARDS["transformer"], random_particles(1, 5), Representation.NODE_POINTS)
    first, second = (layer.linear1.weight for layer in model.encoder.layers[:2])
    assert not torch.equal(first, second)
