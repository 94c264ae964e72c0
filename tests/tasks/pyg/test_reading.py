"""Graphs in the form of PyG: what is stored equals what a loop lays out, and every error names the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData

from tasks.cards import Input
from tasks.errors import DataError
from tasks.pyg.reading import Graphs, inputs_of, stored
from tasks.ragged import RaggedStructures
from tasks.symmetry.groups import group
from tasks.symmetry.structure import Structure

ALL: frozenset[Input] = frozenset({"node_scalars", "edges", "points", "vectors"})
PARTS = ("mask", "node_scalars", "points", "vectors", "edge_scalars")


def random_graph(nodes: int, seed: int, dimension: int = 3) -> Data:
    """A directed graph, also with self loops; half of the pairs of nodes are edges."""
    random = torch.Generator().manual_seed(seed)
    edges = (torch.rand(nodes, nodes, generator=random) < 0.5).nonzero().T
    return Data(
        x=torch.randn(nodes, 2, generator=random),
        edge_index=edges[:, torch.randperm(edges.shape[1], generator=random)],
        edge_attr=torch.randn(edges.shape[1], 3, generator=random),
        pos=torch.randn(nodes, dimension, generator=random),
        velocity=torch.randn(nodes, dimension, generator=random),
    )


def read(items: Sequence[Any], inputs: frozenset[Input] = ALL) -> RaggedStructures:
    return stored(Graphs.of({"": items}), inputs, "velocity")


def dense(items: Sequence[Data], size: int) -> Structure:
    """The obvious way: one node and one edge after the other."""
    count, dimension = len(items), items[0].pos.shape[1]
    mask = torch.zeros(count, size, dtype=torch.bool)
    scalars, edges = torch.zeros(count, size, 2), torch.zeros(count, size, size, 4)
    points, vectors = torch.zeros(count, size, dimension, 1), torch.zeros(count, size, dimension, 1)
    for place, graph in enumerate(items):
        for node in range(len(graph.x)):
            mask[place, node] = True
            scalars[place, node] = graph.x[node]
            points[place, node, :, 0] = graph.pos[node]
            vectors[place, node, :, 0] = graph.velocity[node]
        for edge, (source, end) in enumerate(graph.edge_index.T.tolist()):
            edges[place, source, end] = torch.cat([torch.ones(1), graph.edge_attr[edge]])
    return Structure.build(mask, node_scalars=scalars, points=points, vectors=vectors, edge_scalars=edges)


def assert_equal(x: Structure, y: Structure) -> None:
    for name in PARTS:
        assert torch.equal(getattr(x, name), getattr(y, name)), name


SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@given(SIZES, st.integers(0, 2**31), st.integers(1, 4), st.data())
def test_what_is_taken_equals_a_loop(sizes: list[int], seed: int, dimension: int, data: st.DataObject) -> None:
    items = [random_graph(nodes, seed + place, dimension) for place, nodes in enumerate(sizes)]
    store = read(items)
    chosen = data.draw(st.lists(st.integers(0, len(items) - 1), min_size=1, max_size=6))
    expected = dense([items[place] for place in chosen], max(sizes))
    assert_equal(store[torch.tensor(chosen)], expected)
    alone = store.taken(torch.tensor(chosen))
    assert_equal(alone[:], expected)
    assert len(alone.node_scalars) == sum(sizes[place] for place in chosen)


@given(SIZES, st.integers(0, 2**31))
def test_a_graph_is_padded_alike_in_any_company(sizes: list[int], seed: int) -> None:
    items = [random_graph(nodes, seed + place) for place, nodes in enumerate(sizes)]
    assert_equal(read(items)[:1], read(items[:1])[:].padded(max(sizes)))


@given(st.integers(2, 6), st.integers(0, 2**31))
def test_the_order_of_nodes_and_edges_is_no_matter(nodes: int, seed: int) -> None:
    graph = random_graph(nodes, seed)
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    moved = Data(
        x=graph.x[order],
        pos=graph.pos[order],
        velocity=graph.velocity[order],
        edge_index=place[graph.edge_index].flip(1),
        edge_attr=graph.edge_attr.flip(0),
    )
    x, y = read([graph])[:], read([moved])[:]
    assert torch.equal(x.edge_scalars[:, order][:, :, order], y.edge_scalars)
    assert torch.equal(x.points[:, order], y.points)


def test_elements_act_as_on_structures() -> None:
    store = read([random_graph(nodes, nodes) for nodes in (2, 5, 3)])
    elements = group(("S_n", "E(3)")).random(store.outline, 1, torch.Generator().manual_seed(0))
    moved = store.acted(elements)
    assert_equal(moved[torch.tensor([2, 0])], store[torch.tensor([2, 0])].acted(elements[torch.tensor([2, 0])]))
    assert store.to("cpu", torch.float64)[:].points.dtype == torch.float64


def test_a_graph_may_lack_almost_everything() -> None:
    bare = [Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=nodes) for nodes in (1, 3)]
    inputs = inputs_of(bare[0], None)
    assert inputs == {"node_scalars", "edges"}
    x = read(bare, inputs)[:]
    assert x.edge_scalars.shape == (2, 3, 3, 1) and not x.edge_scalars.any()
    assert torch.equal(x.node_scalars[..., 0], x.mask.float())
    cloud = [Data(pos=torch.randn(nodes, 2)) for nodes in (2, 1)]
    assert inputs_of(cloud[0], None) == {"points"}
    assert read(cloud, frozenset({"points"}))[:].edge_scalars.shape == (2, 2, 2, 0)


@pytest.mark.parametrize("kind", [torch.bool, torch.long, torch.float64])
def test_one_column_needs_no_second_axis(kind: torch.dtype) -> None:
    edges = torch.tensor([[0, 1], [1, 0]])
    graph = Data(x=torch.tensor([0, 1]).to(kind), edge_index=edges, edge_attr=torch.tensor([2.0, 3.0]))
    x = read([graph], frozenset({"node_scalars", "edges"}))[:]
    assert x.node_scalars.flatten().tolist() == [0, 1]
    assert x.edge_scalars[0, 0, 1].tolist() == [1, 2] and x.edge_scalars[0, 1, 0].tolist() == [1, 3]


def changed(**values: Any) -> Callable[[Data], Data]:
    def change(graph: Data) -> Data:
        found = graph.clone()
        for name, value in values.items():
            found[name] = value
        return found

    return change


NAN, LATE = torch.tensor([[0.0, torch.nan]]).expand(3, 2), torch.tensor([[0], [3]])
WRONG: list[tuple[Callable[[Data], Any], str]] = [
    (changed(x=NAN), "Graph 1 has x that are not finite: repair it or leave it out."),
    (changed(pos=torch.full((3, 3), torch.inf)), "Graph 1 has pos that are not finite: repair it or leave it out."),
    (changed(x=torch.zeros(3, 4)), "Graph 1 has x of shape [3, 4], where graph 0 has [2, 2]: use one width."),
    (changed(pos=torch.zeros(2, 3)), "Graph 1 has 3 nodes and pos of shape [2, 3], not [3, ...]."),
    (changed(x=None), "Graph 1 has no x, which graph 0 has: all graphs or none need it."),
    (changed(x=torch.zeros(0, 2), pos=torch.zeros(0, 3)), "Graph 1 has no nodes: leave it out."),
    (changed(edge_index=None), "Graph 1 has no edge_index, which graph 0 has: all graphs or none need it."),
    (changed(edge_index=torch.zeros(3, 2)), "an edge_index of shape [3, 2] and type float32, not [2, edges] and int64"),
    (changed(edge_index=LATE, edge_attr=torch.zeros(1, 3)), "Graph 1 has an edge to a node that it does not have"),
    (changed(edge_index=-LATE, edge_attr=torch.zeros(1, 3)), "Graph 1 has an edge to a node that it does not have"),
    (
        changed(edge_index=torch.tensor([[2, 0, 2], [1, 0, 1]]), edge_attr=torch.zeros(3, 3)),
        "Graph 1 lists the edge 2 -> 1 twice: merge them with coalesce().",
    ),
    (changed(edge_attr=torch.zeros(0, 3)), "edges and edge_attr of shape [0, 3], not ["),
    (changed(x="carbon"), "Graph 1 has x that is no tensor of numbers"),
    (lambda graph: Data(edge_index=graph.edge_index), "Graph 1 has neither x nor pos nor num_nodes"),
    (lambda graph: HeteroData(), "Graph 1 has several types of nodes"),
    (lambda graph: 3, "Graph 1 is of type int: give Data of torch_geometric."),
]


@pytest.mark.parametrize(("change", "says"), WRONG)
def test_what_is_wrong_names_the_graph(change: Callable[[Data], Any], says: str) -> None:
    with pytest.raises(DataError) as error:
        read([random_graph(2, 5), change(random_graph(3, 6))])
    assert says in str(error.value) and "\n" not in str(error.value)


def test_what_is_no_data_set_is_told() -> None:
    for dataset, says in (([], "has no graphs"), (3, "of type int has no graphs"), (Data(x=NAN), "cannot be read")):
        with pytest.raises(DataError, match=says):
            Graphs.of({"": dataset})
    graph = random_graph(3, 1)
    with pytest.raises(DataError, match="Graph 1 of the test split has no nodes"):
        _ = Graphs.of({" of the train split": [graph] * 3, " of the test split": [graph, Data(x=NAN[:0])]}).counts


def test_spaces_of_points_and_vectors_are_one() -> None:
    graph = random_graph(3, 1)
    graph.velocity = torch.zeros(3, 2)
    with pytest.raises(DataError, match=r"in R\^3 and their velocity in R\^2"):
        read([graph])
