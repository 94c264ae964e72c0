"""Graphs stored end to end: what is taken equals what a loop lays out, whatever is taken and wherever it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.errors import DataError
from tasks.ragged import RaggedGraphs, RaggedPairs, Segments
from tasks.sources.graph_arrays import GraphArrays
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

Graph = tuple[list[list[int]], list[tuple[int, int]], list[list[int]]]  # node classes, edges, edge classes
NODE_CLASSES, EDGE_CLASSES = (3, 2), (4,)
GRAPHS: Sequence[Graph] = [
    ([[0, 1], [2, 0], [1, 1]], [(0, 1), (1, 0), (1, 2), (2, 1)], [[0], [0], [3], [3]]),
    ([[1, 0]], [], []),  # a node alone
    ([[2, 1], [0, 0]], [(0, 0), (0, 1)], [[1], [2]]),  # a self-loop, and an edge one way
    ([[1, 1], [1, 0], [0, 1], [2, 0]], [(0, 1), (1, 0), (2, 3), (3, 2)], [[2], [2], [0], [0]]),  # in two parts
]
SIZE = 5


def offsets(counts: list[int]) -> Segments:
    return Segments.between(torch.tensor([0, *counts]).cumsum(0))


def arrays(graphs: Sequence[Graph] = GRAPHS) -> GraphArrays:
    return GraphArrays.pack(
        "a test",
        [np.array(nodes) for nodes, _, _ in graphs],
        [np.array(edges, dtype=int).reshape(-1, 2).T for _, edges, _ in graphs],
        [np.array(classes, dtype=int).reshape(-1, 1) for _, _, classes in graphs],
    )


def store(graphs: Sequence[Graph] = GRAPHS) -> RaggedGraphs:
    return RaggedGraphs.of(arrays(graphs), SIZE, NODE_CLASSES, EDGE_CLASSES)


def laid_out(graphs: Sequence[Graph]) -> Structure:
    """The obvious way: one entry after the other."""
    mask = torch.zeros(len(graphs), SIZE, dtype=torch.bool)
    node_scalars = torch.zeros(len(graphs), SIZE, 5)
    edge_scalars = torch.zeros(len(graphs), SIZE, SIZE, 5)
    for g, (nodes, edges, classes) in enumerate(graphs):
        for i, (first, second) in enumerate(nodes):
            mask[g, i] = True
            node_scalars[g, i, first] = 1
            node_scalars[g, i, 3 + second] = 1
        for (i, j), (kind,) in zip(edges, classes, strict=True):
            edge_scalars[g, i, j, 0] = 1
            edge_scalars[g, i, j, 1 + kind] = 1
    return Structure.build(mask, node_scalars=node_scalars, edge_scalars=edge_scalars)


def assert_equal(x: Structure, y: Structure) -> None:
    for name in ("mask", "node_scalars", "edge_scalars", "points", "vectors"):
        assert torch.equal(getattr(x, name), getattr(y, name)), name


@pytest.mark.parametrize("index", [slice(None), slice(1, 3), slice(0, 0), [3, 0, 0, 2], []])
def test_what_is_taken_equals_a_loop(index: slice | list[int]) -> None:
    places = list(range(4))[index] if isinstance(index, slice) else index
    chosen = index if isinstance(index, slice) else torch.tensor(index, dtype=torch.long)
    assert_equal(store()[chosen], laid_out([GRAPHS[place] for place in places]))


def test_a_part_of_a_part() -> None:
    part = store().part(torch.tensor([3, 2, 1])).first(2)
    assert len(part) == 2
    assert_equal(part[torch.tensor([1, 0])], laid_out([GRAPHS[2], GRAPHS[3]]))


def test_graphs_without_edge_classes_have_one_edge_scalar() -> None:
    bare = replace(arrays(), edge_features=np.zeros((10, 0), np.uint8))
    x = RaggedGraphs.of(bare, SIZE, NODE_CLASSES)[:]
    assert torch.equal(x.edge_scalars, laid_out(GRAPHS).edge_scalars[..., :1])


def test_graphs_without_any_edge() -> None:
    lone = [GRAPHS[1], GRAPHS[1]]
    assert_equal(store(lone)[:], laid_out(lone))


def test_a_graph_above_the_padding_is_named() -> None:
    with pytest.raises(DataError, match=r"Graph 3 has 4 nodes and the task pads to 3: raise .*\.$"):
        RaggedGraphs.of(arrays(), 3, NODE_CLASSES, EDGE_CLASSES)


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(DataError, match="Feature 0 of the data has a class 2, but 2 classes are known"):
        RaggedGraphs.of(arrays(), SIZE, (2, 2), EDGE_CLASSES)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"nodes": []}, "graph 1 has no nodes; leave it out"),
        ({"edges": [(0, 1)], "classes": [[0]]}, "graph 1 has an edge to a node beyond its 1 nodes"),
        ({"edges": [(-1, 0)], "classes": [[0]]}, "graph 1 has an edge to a node beyond its 1 nodes"),
        ({"edges": [(0, 0), (0, 0)], "classes": [[0], [1]]}, "graph 1 lists an edge twice"),
        ({"edges": [(0, 0)], "classes": []}, "edges and edge features differ in number"),
        ({"nodes": [[np.nan, 0]]}, "a feature is no class"),
        ({"nodes": [[0.5, 0]]}, "a feature is no class"),
        ({"nodes": [[256, 0]]}, "a feature is no class"),
        ({"nodes": [[-1, 0]]}, "a feature is no class"),
    ],
)
def test_what_is_no_graph_is_named(change: dict[str, list], sentence: str) -> None:
    new = {"nodes": [[1, 0]], "edges": [], "classes": [], **change}
    with pytest.raises(DataError, match=f"^a test: .*{sentence}.*\\.$"):
        arrays([GRAPHS[0], (np.array(new["nodes"]).reshape(-1, 2), new["edges"], new["classes"])])


def test_precision_is_that_asked_for() -> None:
    x = store().to("cpu", torch.float64)[:2]
    assert (x.node_scalars.dtype, x.edge_scalars.dtype, x.mask.dtype) == (torch.float64, torch.float64, torch.bool)
    assert_equal(x.to("cpu", torch.float32), laid_out(GRAPHS[:2]))


def test_moving_what_is_taken_is_taking_what_is_moved() -> None:
    """The same elements as for the padded graphs, from the same generator, and the same graphs, bit for bit."""
    graphs, dense = store(), laid_out(GRAPHS)
    drawn = [group(("S_n",)).random(x, 1, torch.Generator().manual_seed(3)) for x in (graphs.outline, dense.outline)]
    assert torch.equal(drawn[0].images, drawn[1].images)
    moved, expected = graphs.acted(drawn[0]), dense.acted(drawn[0])
    assert len(moved) == 4
    for index in (slice(0, 2), slice(2, 4), torch.tensor([3, 1])):
        assert_equal(moved[index], expected[index])


def pairs() -> RaggedPairs:
    index = torch.tensor([[0, 2, 0, 3, 1], [2, 0, 1, 0, 0]], dtype=torch.int16)
    label = torch.tensor([1, 1, 0, 1, 0], dtype=torch.uint8)
    return RaggedPairs(SIZE, torch.tensor([3, 1, 2, 4]), offsets([2, 0, 1, 2]), index, label)


def dense_pairs() -> Tensor:
    labels = torch.full((4, SIZE, SIZE, 1), -2.0)
    for graph, count in enumerate((3, 1, 2, 4)):
        labels[graph, :count, :count] = -1
    for graph, i, j, label in ((0, 0, 2, 1), (0, 2, 0, 1), (2, 0, 1, 0), (3, 3, 0, 1), (3, 1, 0, 0)):
        labels[graph, i, j] = label
    return labels


def test_labels_of_pairs_equal_a_loop() -> None:
    assert torch.equal(pairs()[:], dense_pairs())
    assert torch.equal(pairs()[torch.tensor([3, 0])], dense_pairs()[[3, 0]])
    assert torch.equal(pairs().first(2)[:], dense_pairs()[:2])
    assert pairs().to("cpu", torch.float64)[:].dtype is torch.float64


def test_labels_of_pairs_move_with_their_graphs() -> None:
    x = laid_out(GRAPHS)
    g = group(("S_n",)).random(x, 1, torch.Generator().manual_seed(0))
    moved = g.act(pairs()[:][:, None], Representation.EDGE_SCALARS)[:, 0]
    for graph, i, j in (dense_pairs()[..., 0] >= 0).nonzero().tolist():
        image = g.images[graph, 0]
        assert moved[graph, image[i], image[j]] == dense_pairs()[graph, i, j]
    assert (moved >= 0).sum() == 5


@pytest.mark.parametrize("counts", [(5, 5), (3, 5), (5, 3)])
def test_structures_are_padded_where_any_of_them_is(counts: tuple[int, int]) -> None:
    """A network that is built for none that are does not look at the mask."""
    graphs = [([[0, 0]] * count, [], []) for count in counts]
    for structures in (store(graphs), laid_out(graphs)):
        signature = Signature.of(structures, Representation.GRAPH_SCALARS, 1)
        assert signature.padded == (counts != (5, 5)) and signature.nodes == SIZE


@pytest.mark.parametrize("size", [256, 257, 444])
def test_edges_of_large_graphs_lead_where_they_should(size: int) -> None:
    """A path over all nodes, whose numbers need more than a byte."""
    ends = [(i, i + 1) for i in range(size - 1)]
    graphs = GraphArrays.pack("a test", [np.zeros((size, 1), int)], [np.array(ends).T], [np.zeros((size - 1, 1), int)])
    x = RaggedGraphs.of(graphs, size, (1,), (1,))[:]
    assert torch.equal(x.edge_scalars[0, ..., 0], torch.ones(size - 1).diag(1))
