"""The enumeration of connected graphs against known counts that do not come from the program it uses."""

from __future__ import annotations

from math import factorial

import networkx as nx
import numpy as np
import pynauty
import pytest

from tasks.errors import DataError
from tasks.sources import cache, graph8c
from tasks.sources.graph_checks import TypedGraph, certificate

LABELLED = {1: 1, 2: 1, 3: 4, 4: 38, 5: 728, 6: 26_704, 7: 1_866_256, 8: 251_548_592}  # OEIS A001187


def typed(adjacency: np.ndarray) -> TypedGraph:
    return TypedGraph(np.zeros(len(adjacency), dtype=np.int8), np.array(np.nonzero(adjacency)))


def symmetries(adjacency: np.ndarray) -> int:
    size = len(adjacency)
    neighbours = {v: np.flatnonzero(adjacency[v]).tolist() for v in range(size)}
    _, mantissa, exponent, _, _ = pynauty.autgrp(pynauty.Graph(size, adjacency_dict=neighbours))
    return round(mantissa * 10**exponent)


@pytest.mark.parametrize("nodes", range(1, 9))
def test_every_connected_graph_once(nodes):
    graphs = graph8c.connected_graphs(nodes)
    assert graphs.shape == ({1: 1, 2: 1, 3: 2, 4: 6, 5: 21, 6: 112, 7: 853, 8: 11_117}[nodes], nodes, nodes)
    assert graphs.dtype == np.uint8
    assert graphs.max(initial=0) <= 1
    assert (graphs == graphs.transpose(0, 2, 1)).all()
    assert not graphs.diagonal(axis1=1, axis2=2).any()
    assert (np.linalg.matrix_power(graphs + np.eye(nodes, dtype=np.int64), nodes) > 0).all(), "a graph is not connected"
    assert len({certificate(typed(graph)) for graph in graphs}) == len(graphs)
    # Each class stands for n! / |Aut| labelled graphs: only the right classes, each once, add up to all of them.
    assert sum(factorial(nodes) // symmetries(graph) for graph in graphs) == LABELLED[nodes]


def test_the_graphs_of_the_atlas():
    atlas = [graph for graph in nx.graph_atlas_g() if len(graph) == 7 and nx.is_connected(graph)]
    expected = {certificate(typed(nx.to_numpy_array(graph, dtype=np.uint8))) for graph in atlas}
    assert {certificate(typed(graph)) for graph in graph8c.connected_graphs(7)} == expected


def test_the_order_is_fixed(data_folder):
    first = graph8c.connected_graphs(6)
    for path in data_folder.glob("*.npz"):
        path.unlink()
    np.testing.assert_array_equal(graph8c.connected_graphs(6), first)


def test_a_wrong_count_is_an_error(data_folder, monkeypatch):
    monkeypatch.setitem(graph8c.CONNECTED_GRAPHS, 4, 7)
    with pytest.raises(DataError, match="6 connected graphs on 4 vertices in place of 7"):
        graph8c.connected_graphs(5)
    assert not list(data_folder.glob("*.npz"))


def test_a_cached_array_of_another_shape_is_an_error(data_folder):
    graph8c.connected_graphs(5)
    (path,) = data_folder.glob("*.npz")
    cache.save(path, {"adjacency": np.zeros((20, 5, 5), dtype=np.uint8)})
    with pytest.raises(DataError, match="delete it"):
        graph8c.connected_graphs(5)


@pytest.mark.parametrize("nodes", [0, 9, -1])
def test_other_sizes_are_refused(nodes):
    with pytest.raises(ValueError, match="1 to 8 vertices"):
        graph8c.connected_graphs(nodes)
