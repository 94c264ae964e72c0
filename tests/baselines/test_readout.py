"""Outputs of nodes and of pairs: as symmetric as the network, and zero where there is nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.build import build_network
from baselines.catalogue import BASES, EQUIVARIANT
from baselines.readout import read_out
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.predictions import prediction
from tests.structures import random_graphs, random_particles

CARDS = {card.name: card for card in (*BASES, *EQUIVARIANT)}
NETWORKS = ["mlp", "gin_id", "transformer", "gin"]
OUTPUTS = [Representation.NODE_SCALARS, Representation.EDGE_SCALARS]


def network(name: str, x: Structure, output: Representation) -> nn.Module:
    card = CARDS[name]
    return build_network(card, Signature.of(x, output, 3), {}).double().eval()


def absent(x: Structure, output: Representation) -> torch.Tensor:
    return ~x.mask if output is Representation.NODE_SCALARS else ~(x.mask[:, :, None] & x.mask[:, None])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_networks_write_nodes_and_pairs_as_symmetric_as_their_card_says(name: str, output: Representation) -> None:
    x = random_graphs(6, 7)
    model = network(name, x, output)
    y = prediction(model, x, output)
    assert y.shape == (6, 7, 3) if output is Representation.NODE_SCALARS else (6, 7, 7, 3)
    assert not y[absent(x, output)].any() and y.any()
    g = group(("S_n",)).random(x, 1, torch.Generator().manual_seed(1))
    gap = (prediction(model, x.acted(g), output) - g.act(y[:, None], output)[:, 0]).abs().max().item()
    assert (gap < 1e-10) == ("S_n" in CARDS[name].respects)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(prediction(model, x[order], output), y[order])


@pytest.mark.parametrize("output", OUTPUTS)
def test_padding_changes_no_output_of_an_equivariant_network(output: Representation) -> None:
    x = random_graphs(6, 7)
    model = network("gin", x, output)
    padded = model(x.padded(9))
    here = (slice(None), *[slice(7)] * (padded.dim() - 2))
    torch.testing.assert_close(padded[here], model(x))
    assert padded.count_nonzero() == padded[here].count_nonzero()


def test_a_linear_head_on_pairs_is_an_inner_product_of_their_ends() -> None:
    x, h = random_graphs(3, 5), torch.randn(3, 5, 4, dtype=torch.float64)
    head = nn.Linear(4, 1, bias=False).double()
    scores = read_out(h, x, Representation.EDGE_SCALARS, head)
    for graph in range(3):
        for i in range(5):
            for j in range(5):
                exists = bool(x.mask[graph, i] and x.mask[graph, j])
                expected = (head.weight[0] * h[graph, i] * h[graph, j]).sum() if exists else torch.tensor(0.0).double()
                torch.testing.assert_close(scores[graph, i, j, 0], expected)


def test_geometry_is_not_read_out_of_scalars() -> None:
    x = random_particles(2, 4)
    with pytest.raises(ValueError, match="node_points"):
        read_out(torch.zeros(2, 4, 3).double(), x, Representation.NODE_POINTS, nn.Identity())
