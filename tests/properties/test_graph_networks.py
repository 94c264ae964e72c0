"""Equivariant graph networks: symmetry, padding, the batch, odd graphs, and what they can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import networkx as nx
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv
from torch_geometric.transforms import AddRandomWalkPE
from torch_geometric.utils import from_networkx

from baselines.build import build_network
from baselines.catalogue import EQUIVARIANT
from baselines.equivariant.gated_gcn import GatedLayer
from baselines.equivariant.gps import Layer, return_probabilities
from baselines.equivariant.ppgn import Block
from baselines.layers.edge_lists import EdgeLists
from tasks.graphs import constant_and_degree
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs

CARDS = {card.name: card for card in EQUIVARIANT if "S_n" in card.respects and "points" not in card.needs}
NAMES = ["gin", "gcn", "gat", "ppgn", "gated_gcn", "gps"]
WITHIN_1WL = ["gin", "gcn", "gat", "gated_gcn"]
OUTPUTS = [Representation.GRAPH_SCALARS, Representation.NODE_SCALARS, Representation.EDGE_SCALARS]
SMALL = {"width": 16, "layers": 3, "heads": 2}


def network(name: str, x: Structure, output: Representation = Representation.GRAPH_SCALARS) -> nn.Module:
    """In float64 and evaluation mode, after one pass in training mode, so that batch norms are no identity."""
    params: Mapping[str, object] = {k: v for k, v in SMALL.items() if k in CARDS[name].params}
    torch.manual_seed(0)
    model = build_network(CARDS[name], Signature.of(x, output, 4), params).double().train()
    model(random_like(x))
    return model.eval()


def random_like(x: Structure) -> Structure:
    other = random_graphs(6, 7, seed=3)
    channels = x.edge_scalars.shape[-1]
    return replace(other, edge_scalars=other.edge_scalars.expand(-1, -1, -1, channels).contiguous())


def of_graphs(*graphs: nx.Graph) -> Structure:
    """Graphs with as many nodes each; a self-loop is an edge."""
    return constant_and_degree(torch.stack([torch.from_numpy(nx.to_numpy_array(graph)) for graph in graphs]))


def moved(x: Structure, output: Representation, y: Tensor) -> tuple[Structure, Tensor]:
    g = group(("S_n",)).random(x, 1, torch.Generator().manual_seed(1))
    return x.acted(g), g.act(y[:, None], output)[:, 0]


def odd_graphs() -> Structure:
    """One node; no edges; disconnected, with self-loops; complete: padded to 6 nodes."""
    loops = nx.disjoint_union(nx.cycle_graph(3), nx.path_graph(2))
    loops.add_edges_from([(0, 0), (4, 4)])
    graphs = [nx.empty_graph(1), nx.empty_graph(4), loops, nx.complete_graph(6)]
    return Structure.cat([of_graphs(graph).padded(6) for graph in graphs])


def weighted_graphs() -> Structure:
    """Edges with three scalars each, not the same in both directions."""
    x = random_graphs(5, 6)
    noise = torch.rand(5, 6, 6, 3, dtype=torch.float64) + 0.1
    return replace(x, edge_scalars=x.edge_scalars * noise)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("graphs", [odd_graphs, weighted_graphs])
def test_equivariance_and_the_batch(name: str, output: Representation, graphs: object) -> None:
    x = graphs()  # type: ignore[operator]
    model = network(name, x, output)
    y = model(x)
    assert torch.isfinite(y).all() and y.any()
    there, expected = moved(x, output, y)
    torch.testing.assert_close(model(there), expected, atol=1e-10, rtol=0)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model(x[order]), y[order], atol=1e-10, rtol=0)
    torch.testing.assert_close(model(x[1:2]), y[1:2], atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output", OUTPUTS)
def test_padding_changes_nothing_and_stays_zero(name: str, output: Representation) -> None:
    """Whatever the biases, some of which start at zero, have become."""
    x = odd_graphs()
    model = network(name, x, output)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, 0.1, 0.5)
    for training in (False, True):  # batch norms must not count absent nodes either
        here, padded = model.train(training)(x), model(x.padded(9))
        within = (slice(None), *[slice(6)] * (here.dim() - 2))
        torch.testing.assert_close(padded[within], here, atol=1e-10, rtol=0)
        assert padded.count_nonzero() == padded[within].count_nonzero()


@pytest.mark.parametrize("name", NAMES)
def test_graphs_of_a_batch_do_not_see_each_other(name: str) -> None:
    x = odd_graphs()
    model = network(name, x)
    other = replace(x, node_scalars=x.node_scalars + torch.tensor([0, 0, 0, 1.0]).double()[:, None, None])
    torch.testing.assert_close(model(other)[:3], model(x)[:3], atol=1e-10, rtol=0)
    assert (model(other)[3] - model(x)[3]).abs().max() > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_edges_are_read(name: str) -> None:
    x = of_graphs(nx.path_graph(6), nx.star_graph(5))
    x = replace(x, node_scalars=torch.randn(6, 2, dtype=torch.float64).expand(2, -1, -1))
    embedded = network(name, x)(x)
    assert (embedded[0] - embedded[1]).abs().max() > 1e-4


PAIRS = {
    "hexagon or two triangles": (nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))),
    "prism or utility graph": (nx.circular_ladder_graph(3), nx.complete_bipartite_graph(3, 3)),
    "decalin or bicyclopentyl": (
        nx.Graph([*nx.cycle_graph(10).edges, (0, 5)]),
        nx.Graph([*nx.cycle_graph(5).edges, *((5 + a, 5 + b) for a, b in nx.cycle_graph(5).edges), (0, 5)]),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", NAMES)
def test_message_passing_is_bounded_by_colour_refinement_and_ppgn_is_not(name: str, pair: str) -> None:
    """The pairs are 1-WL equivalent; 2-FWL (3-WL) tells them apart, and return probabilities do where walks differ."""
    x = of_graphs(*PAIRS[pair])
    first, second = network(name, x)(x)
    gap = (first - second).abs().sum()
    assert gap < 1e-5 if name in WITHIN_1WL else gap > 1e-3


def test_ppgn_is_bounded_too() -> None:
    """The 4x4 rook's graph and the Shrikhande graph: strongly regular with the same parameters, so 3-WL equivalent."""
    places = [(i, j) for i in range(4) for j in range(4)]
    steps = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
    rook, shrikhande = nx.Graph(), nx.Graph()
    for a in places:
        for b in places:
            if a != b and (a[0] == b[0] or a[1] == b[1]):
                rook.add_edge(a, b)
            if ((a[0] - b[0]) % 4, (a[1] - b[1]) % 4) in steps:
                shrikhande.add_edge(a, b)
    assert not nx.is_isomorphic(rook, shrikhande)
    x = of_graphs(rook, shrikhande)
    first, second = network("ppgn", x)(x)
    torch.testing.assert_close(first, second, atol=0, rtol=1e-10)


@pytest.mark.parametrize("name", ["gcn", "gat"])
def test_dense_layers_are_the_sparse_ones(name: str) -> None:
    x = odd_graphs()
    graph = EdgeLists.of(x)
    dense = network(name, x).convolutions[0]  # type: ignore[union-attr, index]
    sparse = (GCNConv(2, 16) if name == "gcn" else GATConv(2, 8, heads=2)).double()
    own = dense.state_dict()
    sparse.load_state_dict({key: own[key].view_as(value) for key, value in sparse.state_dict().items()})
    found = sparse(graph.rows(x.node_scalars), graph.edge_index)
    torch.testing.assert_close(graph.padded(found), dense(x.node_scalars, x.adjacency, x.mask))


def test_edge_lists_hear_what_the_edges_say() -> None:
    x = weighted_graphs()
    graph = EdgeLists.of(x)
    rows = graph.rows(x.node_scalars)
    source, target = graph.edge_index
    messages = rows[source] * graph.edge_scalars.sum(-1, keepdim=True)
    heard = torch.zeros_like(rows).index_add(0, target, messages)
    torch.testing.assert_close(graph.padded(heard), x.edge_scalars.sum(-1) @ x.node_scalars)
    torch.testing.assert_close(graph.padded(rows), x.node_scalars)


def test_return_probabilities_are_those_of_pyg() -> None:
    graph = nx.disjoint_union(nx.lollipop_graph(4, 3), nx.cycle_graph(5))
    expected = AddRandomWalkPE(6)(from_networkx(graph)).random_walk_pe
    x = of_graphs(graph)
    torch.testing.assert_close(return_probabilities(x.padded(15), 6)[0, : x.nodes].float(), expected)


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_of_gps_is_that_of_pyg(training: bool) -> None:
    """Features and gradients of two layers on graphs of several sizes, whose edges differ in direction."""
    x = weighted_graphs()
    graph, layers = EdgeLists.of(x), [Layer(8, 2, 3).double().train() for _ in range(2)]
    batch = x.mask.nonzero()[:, 0]
    h = torch.randn(len(batch), 8, dtype=torch.float64, requires_grad=True)
    for layer in layers:
        layer(h, graph)  # so that running statistics are no identity
        layer.train(training)
    ours = theirs = h
    for layer in layers:
        ours = layer(ours, graph)
        theirs = layer.parts(theirs, graph.edge_index, batch, edge_attr=graph.edge_scalars)
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)
    weights, leaves = torch.randn_like(ours), [h, *(p for layer in layers for p in layer.parameters())]
    gradients = [torch.autograd.grad((found * weights).sum(), leaves) for found in (ours, theirs)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ["gcn", "gat"])
def test_a_loop_that_a_graph_has_counts_once_among_those_of_the_layer(name: str) -> None:
    x = odd_graphs()
    loops = torch.eye(x.nodes, dtype=torch.bool)[..., None]
    bare = replace(x, edge_scalars=x.edge_scalars.masked_fill(loops, 0))
    assert not torch.equal(bare.edge_scalars, x.edge_scalars)
    model = network(name, x)
    torch.testing.assert_close(model(x), model(bare))


def test_a_block_of_ppgn_is_its_formula() -> None:
    """Against matrices of each channel, one graph and one channel at a time."""
    block, x = Block(2, 3, depth=2).double(), odd_graphs()
    h = torch.randn(4, 6, 6, 2, dtype=torch.float64)
    pairs = (x.mask[:, :, None] & x.mask[:, None])[..., None].double()
    found = block(h * pairs, pairs)
    for graph, count in enumerate(x.node_counts.tolist()):
        part = h[graph, :count, :count]
        left, right = block.left(part), block.right(part)
        product = torch.stack([left[..., c] @ right[..., c] for c in range(3)], -1)
        torch.testing.assert_close(found[graph, :count, :count], block.joined(torch.cat([part, product], -1)))
        assert not found[graph, count:].any() and not found[graph, :, count:].any()


def test_what_the_head_of_ppgn_reads() -> None:
    """Of a node its own pair beside the sum over its pairs with others, of a graph the sums of both."""
    h, x = torch.randn(1, 4, 4, 3, dtype=torch.float64), of_graphs(nx.path_graph(4))
    of_nodes = torch.stack([torch.cat([h[0, i, i], sum(h[0, i, j] for j in range(4) if j != i)]) for i in range(4)])
    expected = dict(zip(OUTPUTS, (of_nodes.sum(0), of_nodes, h[0]), strict=True))
    for output in OUTPUTS:
        torch.testing.assert_close(network("ppgn", x, output)._read(h)[0], expected[output])  # type: ignore[operator]


def test_the_own_weight_of_gin_starts_anywhere_between_one_and_two_and_is_trained() -> None:
    card, signature = CARDS["gin"], Signature.of(odd_graphs(), Representation.GRAPH_SCALARS, 1)
    model = build_network(card, signature, {"layers": 200, "width": 2})
    assert all(isinstance(layer.eps, nn.Parameter) for layer in model.convolutions)
    eps = torch.stack([layer.eps.detach().squeeze() for layer in model.convolutions])
    assert 0 <= eps.min() < 0.05 and 0.95 < eps.max() < 1


def test_a_gated_layer_is_its_formula() -> None:
    """Edge by edge, in evaluation mode with running statistics that are no identity."""
    layer = GatedLayer(3).double()
    graph = EdgeLists.of(weighted_graphs())
    h = torch.randn(len(graph.place), 3, dtype=torch.float64)
    e = torch.randn(graph.edge_index.shape[1], 3, dtype=torch.float64)
    layer(h, e, graph)
    nodes, edges = layer.eval()(h, e, graph)
    pairs = list(zip(*graph.edge_index.tolist(), strict=True))
    gates, heard = [torch.zeros(3).double() for _ in h], [torch.zeros(3).double() for _ in h]
    for place, (j, i) in enumerate(pairs):
        edge = layer.target(h[i]) + layer.source(h[j]) + layer.edge(e[place])
        gates[i] = gates[i] + torch.sigmoid(edge)
        heard[i] = heard[i] + torch.sigmoid(edge) * layer.heard(h[j])
        torch.testing.assert_close(edges[place], e[place] + layer.edge_norm(edge[None])[0].relu())
    for i, row in enumerate(h):
        node = layer.own(row) + heard[i] / gates[i].clamp_min(1e-6)
        torch.testing.assert_close(nodes[i], row + layer.node_norm(node[None])[0].relu())


def test_gates_weigh_neighbours_whatever_their_number() -> None:
    """Where all nodes and edges are equal they stay so, also under batch norms, which blow up any difference."""
    graph = EdgeLists.of(of_graphs(nx.lollipop_graph(4, 3), nx.star_graph(6)))
    h, e = torch.ones(len(graph.place), 8).double(), torch.ones(graph.edge_index.shape[1], 8).double()
    for layer in [GatedLayer(8).double() for _ in range(3)]:
        h, e = layer(h, e, graph)
    torch.testing.assert_close(h, h[:1].expand_as(h), atol=1e-8, rtol=0)


def test_gated_gcn_has_the_published_size_on_pattern() -> None:
    """104,003 parameters (Dwivedi et al. 2023), whose embedding of node types has no bias, unlike ours of 70."""
    card = CARDS["gated_gcn"]
    x = replace(random_graphs(2, 5), node_scalars=torch.zeros(2, 5, 3))
    signature = Signature.of(x, Representation.NODE_SCALARS, 2)
    model = build_network(card, signature, {"head": [35, 17]})
    assert sum(parameter.numel() for parameter in model.parameters()) == 104_003 + 70


@pytest.mark.parametrize("name", ["gat", "gps"])
def test_heads_that_do_not_divide_the_width(name: str) -> None:
    x = odd_graphs()
    with pytest.raises(ValueError, match="multiple of heads"):
        build_network(CARDS[name], Signature.of(x, Representation.GRAPH_SCALARS, 1), {"width": 10, "heads": 3})


@pytest.mark.parametrize("name", sorted(card.name for card in EQUIVARIANT if card.needs == {"node_scalars", "edges"}))
def test_padding_changes_nothing_where_biases_are_no_longer_zero(name: str) -> None:
    """Networks whose biases start at zero leave absent nodes zero by themselves, until they are trained."""
    card = next(card for card in EQUIVARIANT if card.name == name)
    x = random_graphs(3, 5)
    found = []
    for given in (x, x.padded(8)):
        torch.manual_seed(0)
        network = build_network(card, Signature.of(given, Representation.GRAPH_SCALARS, 2), {})
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1)
        found.append(network.double().eval()(given))
    torch.testing.assert_close(found[1], found[0], atol=1e-9, rtol=1e-9)
