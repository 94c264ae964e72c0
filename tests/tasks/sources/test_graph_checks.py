"""The exact checks against textbook graphs, relabelling and brute force."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sources.exp_generator import formula_graph
from tasks.sources.graph_checks import TypedGraph, colour_refinement_equivalent, isomorphic, satisfiable


def typed(graph: nx.Graph, types: list[int] | None = None) -> TypedGraph:
    edges = np.array([edge for u, v in graph.edges for edge in ((u, v), (v, u))], dtype=np.int64).reshape(-1, 2)
    return TypedGraph(np.array(types or [0] * len(graph), dtype=np.int8), edges.T)


def relabelled(graph: TypedGraph, order: np.ndarray) -> TypedGraph:
    """Node v becomes order[v]."""
    node_type = np.empty_like(graph.node_type)
    node_type[order] = graph.node_type
    return TypedGraph(node_type, order[graph.edge_index])


HEXAGON = nx.cycle_graph(6)
TRIANGLES = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))


def test_regular_graphs_fool_colour_refinement_but_not_nauty():
    rook, shrikhande = nx.line_graph(nx.complete_bipartite_graph(4, 4)), shrikhande_graph()
    for first, second in ((HEXAGON, TRIANGLES), (nx.convert_node_labels_to_integers(rook), shrikhande)):
        assert colour_refinement_equivalent(typed(first), typed(second))
        assert not isomorphic(typed(first), typed(second))


def shrikhande_graph() -> nx.Graph:
    """Cayley graph of Z4 x Z4; strongly regular with the parameters of the 4 x 4 rook's graph."""
    steps = ((0, 1), (1, 0), (1, 1))
    return nx.Graph(
        (4 * a + b, 4 * ((a + c) % 4) + (b + d) % 4) for a, b in product(range(4), repeat=2) for c, d in steps
    )


def test_colour_refinement_needs_as_many_rounds_as_it_takes():
    """A leaf hung at different places of a long path shows only after many rounds."""
    graphs = []
    for place in (4, 5):
        graph = nx.path_graph(12)
        graph.add_edge(place, 12)
        graphs.append(typed(graph))
    assert not colour_refinement_equivalent(*graphs)


def test_sizes_degrees_and_types_tell_graphs_apart():
    path, star = nx.path_graph(4), nx.star_graph(3)
    pairs = [
        (typed(path), typed(star)),
        (typed(path), typed(nx.path_graph(5))),
        (typed(path, [0, 1, 1, 0]), typed(path, [1, 0, 0, 1])),
        (typed(HEXAGON, [0] * 6), typed(HEXAGON, [1] * 6)),
        (typed(HEXAGON, [0, 1] * 3), typed(HEXAGON, [0, 0, 0, 1, 1, 1])),
        (typed(nx.complete_graph(3), [0, 0, 1]), typed(nx.complete_graph(3), [0, 1, 1])),
    ]
    for first, second in pairs:
        assert not isomorphic(first, second)
        assert not colour_refinement_equivalent(first, second)


@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_relabelling_changes_nothing(nodes, seed):
    random = np.random.default_rng(seed)
    graph = typed(nx.gnp_random_graph(nodes, 0.4, seed=seed), random.integers(0, 2, nodes).tolist())
    copy = relabelled(graph, random.permutation(nodes))
    assert isomorphic(graph, copy)
    assert colour_refinement_equivalent(graph, copy)


@given(st.integers(3, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_isomorphism_agrees_with_networkx_and_implies_equivalence(nodes, seed):
    random = np.random.default_rng(seed)
    graphs = [nx.gnm_random_graph(nodes, nodes - 1, seed=int(random.integers(2**31))) for _ in range(2)]
    first, second = (typed(graph) for graph in graphs)
    assert isomorphic(first, second) == nx.is_isomorphic(*graphs)
    assert colour_refinement_equivalent(first, second) or not isomorphic(first, second)


literals = st.integers(1, 4).flatmap(lambda variable: st.sampled_from([variable, -variable]))
clauses = st.lists(literals, min_size=1, max_size=3, unique=True).map(tuple)


@given(st.lists(clauses, min_size=1, max_size=14), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_satisfiability_agrees_with_brute_force(formula, seed):
    expected = any(
        all(any((literal > 0) == values[abs(literal) - 1] for literal in clause) for clause in formula)
        for values in product([False, True], repeat=4)
    )
    graph = formula_graph(formula)
    order = np.random.default_rng(seed).permutation(graph.node_type.size)
    assert satisfiable(graph) == expected
    assert satisfiable(relabelled(graph, order)) == expected


def test_a_graph_that_is_no_formula_is_refused():
    with pytest.raises(ValueError, match="0 negations"):
        satisfiable(typed(nx.path_graph(2), [0, 1]))
    with pytest.raises(ValueError, match="2 negations"):
        satisfiable(typed(nx.cycle_graph(3), [1, 1, 1]))
    with pytest.raises(ValueError, match="two clauses"):
        satisfiable(typed(nx.Graph([(0, 1), (2, 3)]), [0, 0, 1, 1]))
