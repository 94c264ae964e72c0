"""A message-passing layer multiplies nodes before they are paired: the same as its edge network on all pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.bases.gnn import MessagePassing, all_pairs, distinct_pairs
from tasks.symmetry.structure import Structure
from tests.structures import random_graphs, random_particles


def on_pairs(layer: MessagePassing, h: Tensor, x: Structure, pairs: Tensor) -> Tensor:
    """The layer as it is written in the papers."""
    messages = layer.edge(torch.cat([all_pairs(h), x.edge_scalars], -1))
    return layer.node(torch.cat([h, (messages * pairs).sum(2)], -1))


@pytest.mark.parametrize("x", [random_particles(3, 5), random_graphs(3, 6)])
def test_values_and_gradients_are_those_of_pairs(x: Structure) -> None:
    layer = MessagePassing(7, x.edge_scalars.shape[-1]).double()
    h = torch.randn(3, x.nodes, 7, dtype=torch.float64, requires_grad=True)
    pairs, weights = distinct_pairs(x), torch.randn(3, x.nodes, 7, dtype=torch.float64)
    found: list[list[Tensor]] = []
    for out in (layer(h, x, pairs), on_pairs(layer, h, x, pairs)):
        found.append([out, *torch.autograd.grad(out, [h, *layer.parameters()], weights)])
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=1e-12)
