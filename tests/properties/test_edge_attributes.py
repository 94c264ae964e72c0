"""What reads edges as an adjacency reads an edge with attributes as one edge."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from baselines.build import build_network, build_sampler
from baselines.cards import BaseCard
from baselines.catalogue import EQUIVARIANT, PROBABILISTIC
from baselines.layers.edge_lists import EdgeLists, joined
from baselines.samplers.graph_ranks import spectral_signature
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs

PLAIN = random_graphs(4, 7)
ADJACENT = [card for card in EQUIVARIANT if card.name in ("gin", "gcn", "gat")]


def with_bonds(x: Structure) -> Structure:
    """One channel for the edge and three one-hot classes of it, as molecules have them: four ones an edge."""
    noise = torch.Generator().manual_seed(0)
    classes = torch.randint(4, (len(x), x.nodes, x.nodes), generator=noise).triu(1)
    bonds = one_hot(classes + classes.mT, 4).repeat(1, 1, 1, 3).to(x.edge_scalars)
    return replace(x, edge_scalars=torch.cat([x.edge_scalars, bonds * x.edge_scalars], -1))


def with_attributes_alone(x: Structure) -> Structure:
    """Two numbers an edge, neither of which says that there is one; one of them may be zero or negative."""
    noise = torch.Generator().manual_seed(1)
    numbers = torch.randn(len(x), x.nodes, x.nodes, generator=noise, dtype=torch.float64).triu(1)
    numbers = (numbers + numbers.mT)[..., None]
    return replace(x, edge_scalars=torch.cat([numbers, numbers.clamp_min(0)], -1) * x.edge_scalars)


ATTRIBUTED = {"bonds": with_bonds(PLAIN), "attributes alone": with_attributes_alone(PLAIN)}


@pytest.mark.parametrize("x", ATTRIBUTED.values(), ids=ATTRIBUTED)
def test_an_edge_weighs_one(x: Structure) -> None:
    assert torch.equal(x.adjacency, PLAIN.adjacency)


@pytest.mark.parametrize("x", [*ATTRIBUTED.values(), replace(PLAIN, edge_scalars=-PLAIN.edge_scalars)])
def test_an_edge_is_listed_once_where_any_of_its_scalars_is_not_zero(x: Structure) -> None:
    """Also where one is zero or all are negative."""
    assert (x.edge_scalars < 0).any() or (x.edge_scalars[x.adjacency != 0] == 0).any()
    assert torch.equal(joined(x), PLAIN.adjacency != 0)
    listed = EdgeLists.of(x).edge_scalars
    assert torch.equal(listed, x.edge_scalars[PLAIN.adjacency != 0])


def test_a_single_scalar_is_the_weight_of_an_edge() -> None:
    weighted = replace(PLAIN, edge_scalars=0.5 * PLAIN.edge_scalars)
    assert torch.equal(weighted.adjacency, 0.5 * PLAIN.adjacency)


@pytest.mark.parametrize("x", ATTRIBUTED.values(), ids=ATTRIBUTED)
@pytest.mark.parametrize("card", ADJACENT, ids=lambda card: card.name)
def test_graph_networks(card: BaseCard, x: Structure) -> None:
    made = build_network(card, Signature.of(x, Representation.GRAPH_SCALARS, 2), {}).double()
    torch.testing.assert_close(made(x), made(PLAIN))


@pytest.mark.parametrize("x", ATTRIBUTED.values(), ids=ATTRIBUTED)
@pytest.mark.parametrize("q", ["gin", "transformer"])
@pytest.mark.parametrize("training", [False, True])
def test_q(q: str, training: bool, x: Structure) -> None:
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    params = {"q": q, "noise": "uniform", "width": 16}
    sampler = build_sampler(PROBABILISTIC, group(("S_n",)), signature, params).double().train(training)
    noise = sampler.noise(x, 3, torch.Generator().manual_seed(0))
    here, there = (sampler.network(y, noise, 1.0).scores for y in (x, PLAIN))
    torch.testing.assert_close(here, there)


def test_frames_are_those_of_the_graph_where_edges_weigh_alike() -> None:
    assert torch.equal(spectral_signature(ATTRIBUTED["bonds"]), spectral_signature(PLAIN))
