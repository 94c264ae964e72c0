"""Base models and equivariant networks: sizes, symmetries, padding, the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from baselines.build import build_network, build_sampler
from baselines.cards import BaseCard
from baselines.catalogue import BASES, EQUIVARIANT, SAMPLERS
from baselines.symmetrized import Symmetrized
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.predictions import prediction
from tests.structures import random_graphs, random_particles, with_several

CARDS = {card.name: card for card in (*BASES, *EQUIVARIANT)}
READS_GRAPHS = ["mlp", "gin_id", "transformer", "gin"]
READS_PARTICLES = ["mlp", "gnn", "transformer", "egnn"]


def network(card: BaseCard, x: Structure, output: Representation, **params: object) -> torch.nn.Module:
    signature = Signature.of(x, output, 3 if output is Representation.GRAPH_SCALARS else 1)
    return build_network(card, signature, params).double().eval()


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
@pytest.mark.parametrize("sampler", ["ga", "canonical", "ps"])
def test_symmetrized_particle_networks_move_with_translations(name: str, sampler: str) -> None:
    """Base models read points as they are; a group with translations takes these to the centroid."""
    x = random_particles(4, 5)
    card = next(card for card in SAMPLERS if card.name == sampler)
    base = network(CARDS[name], x, Representation.NODE_POINTS)
    signature = Signature.of(x, Representation.NODE_POINTS, 1)
    elements = build_sampler(card, group(("S_n", "E(3)")), signature, {}).double()
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


@pytest.mark.parametrize("name", ["mlp", "transformer", "set_transformer", "gnn"])
@pytest.mark.parametrize("training", [False, True])
def test_points_are_displacements_from_where_they_begin(name: str, training: bool) -> None:
    """A network of zeros displaces nothing: the first point of each node stays, or all go to the centroid."""
    x = with_several(random_particles(3, 4), 4)
    base = network(CARDS[name], x, Representation.NODE_POINTS)
    for parameter in base.parameters():
        torch.nn.init.zeros_(parameter)
    haar = next(card for card in SAMPLERS if card.name == "ga")
    signature = Signature.of(x, Representation.NODE_POINTS, 1)
    elements = build_sampler(haar, group(("S_n", "E(3)")), signature, {})
    model = Symmetrized(base, elements, Representation.NODE_POINTS).train(training)
    start = x.centroid[:, None, :, None].expand(-1, 4, -1, -1) if name == "gnn" else x.points[..., :1]
    for found in (model(x, 3).value, model(x, 3, chunk=1).value, *model.draws(x, 3).unbind(1)):
        torch.testing.assert_close(found, start)


@pytest.mark.parametrize("reads", [["node_scalars"], ["geometry"], ["edges"], ["geometry", "edges"], None])
def test_a_perceptron_reads_what_it_is_told_to(reads: list[str] | None) -> None:
    x = random_particles(3, 4)
    x = replace(x, node_scalars=torch.randn(3, 4, 2, dtype=torch.float64))
    made = network(CARDS["mlp"], x, Representation.GRAPH_SCALARS, reads=reads)
    fields = {"node_scalars": ["node_scalars"], "geometry": ["points", "vectors"], "edges": ["edge_scalars"]}
    for part, names in fields.items():
        for name in names:
            changed = made(replace(x, **{name: getattr(x, name) + 1})) - made(x)
            assert bool(changed.any()) == (reads is None or part in reads), name


@pytest.mark.parametrize("name", ["egnn", "radial_field"])
def test_the_first_point_moves_with_the_first_vector_and_nothing_else_is_seen(name: str) -> None:
    x = with_several(random_particles(3, 4), 4)
    alone = replace(x, points=x.points[..., :1], vectors=x.vectors[..., :1])
    model = network(CARDS[name], x, Representation.NODE_POINTS)
    torch.testing.assert_close(model(x), model(alone), atol=0, rtol=0)
    assert not torch.allclose(model(x), model(replace(x, vectors=x.vectors.flip(-1))))


def test_a_graph_is_the_mean_of_its_nodes_to_a_transformer_of_pairs() -> None:
    x = random_graphs(4, 6)
    model = network(CARDS["transformer"], x, Representation.GRAPH_SCALARS)
    heads: list[Tensor] = []
    model.head.register_forward_hook(lambda module, given, output: heads.append(output))  # type: ignore[union-attr]
    found = model(x)
    for graph, nodes, value in zip(heads[0], x.node_counts.tolist(), found, strict=True):
        torch.testing.assert_close(value, graph[:nodes].mean(0))
