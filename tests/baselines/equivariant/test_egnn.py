"""EGNN as a whole against layers of PyPI's ``egnn-pytorch`` as they are, and against its equations, pair by pair.

The two definitions differ in four places, none of which keeps weights from being carried over:

* theirs sums moves over neighbours and ours takes their mean (Satorras et al. 2021, C = 1 / (n - 1)): the last layer of
  their coordinate network is ours times C;
* theirs counts a node as its own neighbour: an edge feature that marks such pairs drives their message to zero;
* their hidden layers are wider: what ours does not have is zero;
* theirs has no velocities: ours are added to what theirs puts out.
"""

from __future__ import annotations

import pytest
import torch
from egnn_pytorch import EGNN as TheirLayer
from torch import Tensor, nn

from baselines.catalogue.equivariant import EGNNSettings
from baselines.equivariant.egnn import EGNN, EGNNLayer
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_particles

WIDTH = 8
SILENCE = 40.0  # SiLU(-SILENCE ** 2) is zero in float64


def network(x: Structure) -> EGNN:
    signature = Signature.of(x, Representation.NODE_POINTS, 1)
    built = EGNN(signature, EGNNSettings(width=WIDTH)).double()
    for layer in built.layers:
        nn.init.normal_(layer.position[2].weight, std=0.5)  # the published start would hide the moves
    return built


def theirs(ours: EGNNLayer, others: int) -> nn.Module:
    """The layer of egnn-pytorch with the weights of ``ours``, for nodes that have ``others`` neighbours."""
    edge_scalars = ours.edge[0].in_features - 2 * WIDTH - 1
    layer = TheirLayer(dim=WIDTH, edge_dim=edge_scalars + 1, m_dim=WIDTH).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        carry_over(ours.edge, layer.edge_mlp)
        carry_over(ours.node, layer.node_mlp)
        carry_over(ours.position, layer.coors_mlp)
        layer.coors_mlp[3].weight /= others
        layer.edge_mlp[0].weight[-1, -1] = SILENCE  # a hidden unit of which ours has no use reads the mark
        layer.edge_mlp[3].weight[:, -1] = -SILENCE
    return layer


def carry_over(ours: nn.Sequential, wider: nn.Sequential) -> None:
    """Two linear layers into the first rows and columns of wider ones, which have dropout in between."""
    for mine, their in ((ours[0], wider[0]), (ours[2], wider[3])):
        their.weight[: mine.out_features, : mine.in_features] = mine.weight
        if mine.bias is not None:
            their.bias[: mine.out_features] = mine.bias


def marked(x: Structure) -> Tensor:
    """Edge scalars beside the mark of pairs of a node with itself."""
    own = torch.eye(x.nodes, dtype=torch.float64).expand(len(x), -1, -1)
    return torch.cat([x.edge_scalars, own[..., None]], -1)


def first_features(model: EGNN, x: Structure) -> Tensor:
    size = x.vectors[..., 0] if model.moving else x.points[..., 0] - x.centroid[:, None]
    return model.embed(torch.cat([size.norm(dim=-1, keepdim=True), x.node_scalars], -1))


@pytest.mark.parametrize(("nodes", "padding"), [(5, 0), (5, 2), (2, 0), (9, 0)])
def test_without_velocities_all_layers_are_theirs(nodes: int, padding: int) -> None:
    x = random_particles(3, nodes)
    x = Structure.build(x.mask, points=x.points, edge_scalars=x.edge_scalars).padded(nodes + padding)
    model = network(x)
    h, position = first_features(model, x), x.points[..., 0]
    for layer in model.layers:
        h, position = theirs(layer, others=nodes - 1)(h, position, edges=marked(x), mask=x.mask)
    found = model(x)[..., 0]
    torch.testing.assert_close(found[x.mask], position[x.mask], atol=1e-12, rtol=1e-12)
    assert (found - x.points[..., 0])[x.mask].abs().mean() > 0.01


def test_with_velocities_a_layer_is_theirs_and_the_velocity_term() -> None:
    x = random_particles(3, 5)
    model = network(x)
    h, position, velocity = first_features(model, x), x.points[..., 0], x.vectors[..., 0]
    for layer in model.layers:
        assert layer.velocity is not None
        new_h, moved = theirs(layer, others=4)(h, position, edges=marked(x))
        h, position = new_h, moved + layer.velocity(h) * velocity
    torch.testing.assert_close(model(x)[..., 0], position, atol=1e-12, rtol=1e-12)


def test_the_network_follows_the_equations() -> None:
    """Satorras et al. 2021, equations 3, 5, 6 and 7, for one node and one neighbour after another."""
    x = random_particles(1, 4)
    model = network(x)
    h, position = list(first_features(model, x)[0]), list(x.points[0, :, :, 0])
    for layer in model.layers:
        assert layer.velocity is not None
        new_h, new_position = [], []
        for i in range(4):
            total, moves = torch.zeros(WIDTH, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
            for j in set(range(4)) - {i}:
                away = position[i] - position[j]
                message = layer.edge(torch.cat([h[i], h[j], away.square().sum()[None], x.edge_scalars[0, i, j]]))
                total = total + message
                moves = moves + away * layer.position(message) / 3
            new_position.append(position[i] + layer.velocity(h[i]) * x.vectors[0, i, :, 0] + moves)
            new_h.append(h[i] + layer.node(torch.cat([h[i], total])))
        h, position = new_h, new_position
    torch.testing.assert_close(model(x)[0, :, :, 0], torch.stack(position), atol=1e-12, rtol=1e-12)
