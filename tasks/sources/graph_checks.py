"""Exact checks of small graphs with node types: isomorphism, colour refinement, satisfiability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CLAUSE, LITERAL = 0, 1


class TypedGraph(NamedTuple):
    """An undirected graph whose nodes have a type.

    Attributes:
        node_type: Integers [n].
        edge_index: Node indices [2, m]; every edge is listed in both directions.
    """

    node_type: NDArray[np.integer]
    edge_index: NDArray[np.integer]

    def neighbours(self) -> list[list[int]]:
        """The neighbours of every node."""
        lists: list[list[int]] = [[] for _ in self.node_type]
        for source, target in self.edge_index.T.tolist():
            lists[source].append(target)
        return lists


def certificate(graph: TypedGraph) -> tuple[Hashable, ...]:
    """A value that is equal for two graphs exactly if they are isomorphic with node types: nauty's canonical form."""
    import pynauty

    types = graph.node_type.tolist()
    cells = [{node for node, kind in enumerate(types) if kind == cell} for cell in sorted(set(types))]
    adjacency = dict(enumerate(graph.neighbours()))
    canonical = pynauty.certificate(pynauty.Graph(len(types), adjacency_dict=adjacency, vertex_coloring=cells))
    return tuple(
        sorted(Counter(types).items())
    ), canonical  # nauty itself compares neither the cells' sizes nor their names


def isomorphic(first: TypedGraph, second: TypedGraph) -> bool:
    """Returns True if there is an isomorphism of the graphs that keeps node types."""
    return certificate(first) == certificate(second)


def colour_refinement_equivalent(first: TypedGraph, second: TypedGraph) -> bool:
    """Returns True if 1-WL colour refinement, started from the node types, does not distinguish the graphs.

    Both graphs are refined together until no colour class splits. They are equivalent if every colour is equally
    frequent in both.
    """
    sides = [graph.neighbours() for graph in (first, second)]
    colours = [graph.node_type.tolist() for graph in (first, second)]
    classes = len(set(colours[0]) | set(colours[1]))
    while Counter(colours[0]) == Counter(colours[1]):
        names: dict[Hashable, int] = {}
        colours = [
            [names.setdefault((old[v], tuple(sorted(old[u] for u in near[v]))), len(names)) for v in range(len(old))]
            for old, near in zip(colours, sides, strict=True)
        ]
        if len(names) == classes:
            return Counter(colours[0]) == Counter(colours[1])
        classes = len(names)
    return False


def satisfiable(graph: TypedGraph) -> bool:
    """Returns True if the propositional formula of a graph can be satisfied.

    A clause consists of the literals that its node is adjacent to, and two adjacent literals are negations of each
    other. The graph does not say which of the two is positive, and satisfiability does not depend on it.

    Raises:
        ValueError: The graph is no formula: a literal does not have exactly one negation, or two clauses are adjacent.
    """
    from pysat.solvers import Solver

    literal_of, clauses = _formula(graph)
    with Solver(
        name="minisat22", bootstrap_with=[[literal_of[node] for node in clause] for clause in clauses]
    ) as solver:
        return bool(solver.solve())


def _formula(graph: TypedGraph) -> tuple[dict[int, int], list[list[int]]]:
    """The signed variable of every literal node, and the literal nodes of every clause."""
    types = graph.node_type.tolist()
    near = graph.neighbours()
    literal_of: dict[int, int] = {}
    for node in np.flatnonzero(graph.node_type == LITERAL).tolist():
        negations = [other for other in near[node] if types[other] == LITERAL]
        if len(negations) != 1:
            raise ValueError(
                f"literal {node} has {len(negations)} negations in place of one: the graph is not a formula"
            )
        literal_of[node] = -literal_of[negations[0]] if negations[0] in literal_of else len(literal_of) + 1
    clauses = [near[node] for node in np.flatnonzero(graph.node_type == CLAUSE).tolist()]
    if any(types[node] != LITERAL for clause in clauses for node in clause):
        raise ValueError("two clauses are adjacent: the graph is not a formula")
    return literal_of, clauses
