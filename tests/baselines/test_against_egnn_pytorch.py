"""The EGNN layer against the one of the package egnn-pytorch, with the same weights."""

from __future__ import annotations

import pytest
import torch
from egnn_pytorch import EGNN as TheirLayer
from torch import nn

from baselines.equivariant.egnn import EGNNLayer
from tests.structures import random_particles

WIDTH = 8


class Scaled(nn.Module):
    def __init__(self, inner: nn.Module, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * self.inner(x)


@pytest.mark.parametrize("nodes", [2, 5, 9])
def test_same_weights_same_features_and_positions(nodes: int) -> None:
    """Made to coincide where the two differ: theirs adds a node's message to itself and sums moves, ours (as the
    authors' code) leaves that message out and averages. What velocities add is not in theirs, so nothing moves here.
    """
    torch.manual_seed(0)
    x = random_particles(4, nodes)
    edges = x.edge_scalars.shape[-1]
    ours = EGNNLayer(WIDTH, edges, moving=False).double()
    nn.init.normal_(ours.position[2].weight)  # not nearly 0, so that positions are compared at all
    theirs = TheirLayer(WIDTH, edge_dim=edges, m_dim=WIDTH).double()
    theirs.edge_mlp, theirs.node_mlp, theirs.coors_mlp = ours.edge, ours.node, Scaled(ours.position, 1 / nodes)
    h, position = torch.randn(4, nodes, WIDTH, dtype=torch.float64), x.points[..., 0]
    everyone = torch.ones(4, nodes, nodes, 1, dtype=torch.float64)
    features, moved = ours(h, position, torch.zeros_like(position), x, everyone)
    their_features, their_moved = theirs(h, position, edges=x.edge_scalars)
    torch.testing.assert_close(features, their_features, rtol=0, atol=1e-12)
    torch.testing.assert_close(moved, their_moved, rtol=0, atol=1e-12)
    assert (moved - position).abs().max() > 1e-3
