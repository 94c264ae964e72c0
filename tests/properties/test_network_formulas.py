"""Networks without a published implementation here, node by node and pair by pair: their sums, means and norms."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from baselines.bases.gnn import GNN, MessagePassing, distinct_pairs
from baselines.bases.mlp import MLP, head
from baselines.catalogue.shared import GraphNetworkSettings
from baselines.equivariant.radial_field import RadialField, RadialFieldLayer
from baselines.equivariant.tensor_field import Neighbours, TensorField
from baselines.equivariant.vector_neurons import VNEdgeConvolution
from baselines.layers.vector_neurons import VNBatchNorm, VNBlock, VNMaxPool, edge_features, nearest_points
from baselines.q_networks.sets import HEADS, BiasedEncoderLayer
from baselines.readout import mean_and_max
from harness.registry import method
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_particles

NODES, PADDED = 4, 6


def particles() -> Structure:
    return random_particles(2, NODES).padded(PADDED)


def built(kind: type[nn.Module], name: str, x: Structure, output: Representation, **params: object) -> nn.Module:
    torch.manual_seed(0)
    card = method(name).base
    size = {key: value for key, value in (("width", 12), ("layers", 2)) if key in card.params}
    settings = card.settings_from({**size, **params})
    return kind(Signature.of(x, output, 2), settings).double()  # type: ignore[call-arg]


def test_a_radial_field_moves_by_means_and_reads_distances_by_means() -> None:
    x = particles()
    model = built(RadialField, "radial_field", x, Representation.GRAPH_SCALARS)
    assert isinstance(model, RadialField)
    for layer in model.layers:
        assert isinstance(layer, RadialFieldLayer)
        nn.init.normal_(layer.phi[2].weight)
    for b in range(2):
        position, velocity = x.points[b, :NODES, :, 0], x.vectors[b, :NODES, :, 0]
        for layer in model.layers:
            moved = []
            for i in range(NODES):
                steps = []
                for j in range(NODES):
                    difference = position[i] - position[j]
                    edge = torch.cat([difference.norm()[None], x.edge_scalars[b, i, j]])
                    if i != j:
                        steps.append(difference * layer.phi(edge))  # type: ignore[operator]
                own = velocity[i] * layer.psi(velocity[i].norm()[None])  # type: ignore[operator]
                moved.append(position[i] + sum(steps) / (NODES - 1) + own)
            position = torch.stack(moved)
        pairs = [(position[i] - position[j]).norm() for i in range(NODES) for j in range(NODES) if i != j]
        expected = model.head(torch.stack([model.pair(distance[None]) for distance in pairs]).mean(0))
        torch.testing.assert_close(model(x)[b], expected)


def test_messages_of_a_tensor_field_are_added_up_over_the_root_of_their_number() -> None:
    """Of as many neighbours as there are: two of four where two are looked for, three where ten are."""
    for count in (2, 10):
        x = particles()
        model = built(TensorField, "tfn", x, Representation.NODE_POINTS, neighbours=count)
        assert isinstance(model, TensorField)
        layer = model.layers[0]
        neighbours = Neighbours(x, count, model.harmonics, model.radii, model.reach, True)
        h = torch.cat([x.node_scalars, x.geometry.norm(dim=2), x.geometry.mT.flatten(2)], -1)
        found = layer(h, neighbours)
        for b in range(2):
            for i in range(NODES):
                distances = (x.points[b, :NODES, :, 0] - x.points[b, i, :, 0]).norm(dim=-1)
                nearest = [j for j in distances.argsort().tolist() if j != i][:count]
                messages = []
                for j in nearest:
                    place = (neighbours.places[b, i] == j).nonzero().item()
                    harmonics, scalars = neighbours.harmonics[b, i, place], neighbours.scalars[b, i, place]
                    charges, squared = x.edge_scalars[b, i, j]
                    edges = torch.stack([charges.sign() * charges.abs().log1p(), squared.log1p()])
                    torch.testing.assert_close(scalars[-2:], edges)
                    torch.testing.assert_close(scalars[-3], distances[j] / model.reach)
                    messages.append(layer.product(h[b, j][None], harmonics[None], layer.radial(scalars)[None]))  # type: ignore[operator]
                assert len(messages) == min(count, NODES - 1)
                total = torch.stack(messages).sum(0) / len(messages) ** 0.5
                expected = layer.gate(layer.own(h[b, i][None]) + layer.message(total))  # type: ignore[operator]
                torch.testing.assert_close(found[b, i][None], expected)


@pytest.mark.parametrize("neighbours", [2, 9])
def test_an_edge_convolution_of_vectors_is_a_mean_over_the_nearest(neighbours: int) -> None:
    """Itself among them; each message is scaled by a function of its edge."""
    x = particles()
    layer = VNEdgeConvolution(2, 5, neighbours, 2).double().eval()
    found = layer(x.geometry, x, x.mask)
    for b in range(2):
        vectors = x.geometry[b, :NODES]
        for i in range(NODES):
            nearest = (vectors - vectors[i]).flatten(1).norm(dim=-1).argsort().tolist()[:neighbours]
            messages = [
                layer.block(torch.cat([vectors[j] - vectors[i], vectors[i]], -1)[None])[0]
                * layer.scale(x.edge_scalars[b, i, j])  # type: ignore[misc]
                for j in nearest
            ]
            torch.testing.assert_close(found[b, i], torch.stack(messages).mean(0))


def test_vectors_are_bent_where_they_point_against_their_direction() -> None:
    """A fifth of the part against it is left; batch normalisation is one of norms, and directions stay."""
    block = VNBlock(3, 2).double().eval()
    vectors = torch.randn(7, 3, 3, dtype=torch.float64)
    block.norm.norm.running_mean, block.norm.norm.running_var = torch.tensor([0.5, 1.5]), torch.tensor([2.0, 0.7])
    block.double()
    features, directions = block.norm(vectors @ block.features.weight.T), vectors @ block.directions.weight.T
    raw = vectors @ block.features.weight.T
    norm = raw.norm(dim=-2, keepdim=True)
    mean, deviation = torch.tensor([0.5, 1.5]).double(), (torch.tensor([2.0, 0.7]).double() + 1e-5).sqrt()
    torch.testing.assert_close(features, raw / norm * (norm - mean) / deviation, atol=1e-4, rtol=1e-4)
    unit = directions / directions.norm(dim=-2, keepdim=True)
    along = (features * unit).sum(-2, keepdim=True)
    expected = torch.where(along < 0, features - 0.8 * along * unit, features)
    torch.testing.assert_close(block(vectors), expected, atol=1e-4, rtol=1e-4)
    assert (along < 0).any() and (along > 0).any()
    assert isinstance(block.norm, VNBatchNorm)


def test_edges_of_the_nearest_are_differences_beside_the_node_itself() -> None:
    vectors, mask = torch.randn(1, 4, 3, 2, dtype=torch.float64), torch.tensor([[True, True, True, False]])
    nearest, exists = nearest_points(vectors, 3, mask)
    assert exists is not None and exists[0, :3].all() and not exists[0, 3].any()
    assert (nearest[0, :3] < 3).all()
    features = edge_features(vectors, nearest)
    for i in range(3):
        assert set(nearest[0, i].tolist()) == {0, 1, 2} and nearest[0, i, 0] == i
        for place, j in enumerate(nearest[0, i].tolist()):
            expected = torch.cat([vectors[0, j] - vectors[0, i], vectors[0, i]], -1)
            assert torch.equal(features[0, i, place], expected)


def test_messages_are_of_what_a_node_hears() -> None:
    """Of i beside j and the edge (i, j), added up over j other than i; edges that differ in direction tell."""
    x = particles()
    edges = torch.randn(2, PADDED, PADDED, 2, dtype=torch.float64)
    x = Structure.build(x.mask, points=x.points, vectors=x.vectors, edge_scalars=edges)
    layer, h = MessagePassing(5, 2).double(), torch.randn(2, PADDED, 5, dtype=torch.float64)
    found = layer(h, x, distinct_pairs(x))
    for b in range(2):
        for i in range(NODES):
            heard = [torch.cat([h[b, i], h[b, j], edges[b, i, j]]) for j in range(NODES) if j != i]
            expected = layer.node(torch.cat([h[b, i], torch.stack([layer.edge(m) for m in heard]).sum(0)]))
            torch.testing.assert_close(found[b, i], expected)


def test_points_of_a_graph_network_are_relative_to_the_centroid() -> None:
    x = particles()
    model = built(GNN, "gnn-ga", x, Representation.NODE_POINTS)
    assert isinstance(model, GNN)
    torch.testing.assert_close(model.origin(x)[:, 0, :, 0], x.points[:, :NODES, :, 0].mean(1))


def test_mean_and_maximum_are_over_the_nodes_that_exist() -> None:
    h = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [50.0, 50.0]], [[5.0, 7.0], [60.0, -60.0], [-9.0, 9.0]]])
    x = Structure.build(torch.tensor([[True, True, False], [True, False, False]]), node_scalars=torch.zeros(2, 3, 1))
    assert mean_and_max(h, x).tolist() == [[2.0, -3.0, 3.0, -2.0], [5.0, 7.0, 5.0, 7.0]]


@pytest.mark.parametrize("final", [False, True])
def test_a_final_activation_is_there_where_it_is_asked_for(final: bool) -> None:
    x = particles()
    model = built(MLP, "mlp-ga", x, Representation.GRAPH_SCALARS, activation="relu", final_activation=final)
    found = torch.cat([model(replace(x, points=x.points * scale)) for scale in (1.0, -3.0, 10.0, -30.0)])
    assert (found < 0).any() != final
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 4)
    of_graphs = head(6, signature, GraphNetworkSettings(head=(8,), final_activation=final))
    assert (of_graphs(torch.randn(50, 6)) < 0).any() != final


def test_a_layer_of_the_transformer_as_q_adds_to_what_it_reads() -> None:
    """Attention by loops over heads and nodes, an edge's weight in its logit; both steps add to the features."""
    torch.manual_seed(0)
    x, layer = random_graphs(2, 5), BiasedEncoderLayer(8, 0.0).double()
    x = replace(x, edge_scalars=x.edge_scalars * torch.rand(5, 5, 1, dtype=torch.float64))  # each way another
    h = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    found = layer(h, x.adjacency, x.mask)
    for b, k in itertools.product(range(2), range(3)):
        nodes = int(x.mask[b].sum())
        query, key, value = layer.project(layer.attention_norm(h[b, k])).chunk(3, -1)
        for i in range(nodes):
            heads = []
            for place, bias in enumerate(layer.edge_bias):
                own = slice(place * 8 // HEADS, (place + 1) * 8 // HEADS)
                logits = key[:nodes, own] @ query[i, own] / (8 / HEADS) ** 0.5 + bias * x.adjacency[b, i, :nodes]
                heads.append(logits.softmax(0) @ value[:nodes, own])
            mixed = h[b, k, i] + layer.mix(torch.cat(heads))
            torch.testing.assert_close(found[b, k, i], mixed + layer.feed_forward(mixed))


def test_of_vectors_that_are_furthest_alike_the_pool_takes_the_mean() -> None:
    """Two points in one place count as one; of two that tie elsewhere it is the one in between."""
    pool = VNMaxPool(4).double()
    vectors = torch.randn(5, 3, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(pool(torch.cat([vectors, vectors], 1), axis=1), pool(vectors, axis=1))
    along = vectors[:, :1]
    with torch.no_grad():
        pool.directions.weight.zero_()
    torch.testing.assert_close(pool(torch.cat([along, -3 * along], 1), axis=1), -along[:, 0])
