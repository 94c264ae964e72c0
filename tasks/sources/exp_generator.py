"""The offline generator of EXP-like pairs, after the procedure of Abboud et al. 2021.

A random planar bipartite graph becomes a satisfiable formula whose graph is planar. Two copies of it get one of two
*cores* each that 1-WL cannot distinguish, one satisfiable and one not. The authors list all planar bipartite graphs
with `plantri`; this module draws them at random, with the sizes and the density of the published set.

A formula is a list of clauses, a clause a tuple of literals, a literal a signed variable: -3 is the negation of
variable 3.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from tasks.errors import DataError
from tasks.sources.graph_checks import CLAUSE, LITERAL, TypedGraph, certificate, satisfiable

if TYPE_CHECKING:
    import networkx as nx

MAX_NODES = 64
CORE_SIZES = (4, 6, 8)
MAX_CLAUSE = 5

# Shares of the smaller side of the bipartition, by the number of vertices, close to those of the published set.
_SIDES = {12: {6: 0.37, 5: 0.60, 4: 0.03}, 15: {7: 0.06, 6: 0.71, 5: 0.06, 4: 0.17}}
_THINNING = 0.25  # of the edges of a maximal planar bipartite graph; gives the published number of edges
_ATTEMPTS = 1_000  # formulas tried for one pair before giving up; a few are needed

Formula = list[tuple[int, ...]]


def formula_pairs(random: np.random.Generator, pairs: int) -> list[tuple[TypedGraph, TypedGraph]]:
    """Draws pairs (satisfiable, unsatisfiable): five sixths from graphs on 12 vertices, then the rest from 15.

    The planar graphs that they are made from are pairwise non-isomorphic.

    Raises:
        DataError: No further formula is found.
    """
    made = []
    seen: set[Hashable] = set()
    for vertices, count in ((12, pairs - pairs // 6), (15, pairs // 6)):
        for _ in range(count):
            formula = _new_formula(random, vertices, seen)
            size = int(random.choice(CORE_SIZES))
            made.append((with_core(formula, size, True), with_core(formula, size, False)))
    return made


def with_core(formula: Formula, size: int, satisfied: bool) -> TypedGraph:
    """The graph of a formula with a core on `size` new variables, which is satisfiable if `satisfied`.

    In an unsatisfiable core one chain of implications makes all variables equal, and bridges make the variables v and
    size - 1 - v differ. In a satisfiable core there are two chains, which only make the variables of each half equal.
    """
    half = size // 2
    first = _variables(formula) + 1
    chains = _chain(first, half, 1) + _chain(first + half, half, -1) if satisfied else _chain(first, size, 1)
    bridges = [tuple(sign * (first + v) for v in (low, size - 1 - low)) for low, sign in product(range(half), (1, -1))]
    return formula_graph(formula + chains + bridges)


def formula_graph(formula: Formula) -> TypedGraph:
    """The graph of a formula: clause nodes in order, then the positive and the negative literal of each variable.

    A clause is adjacent to its literals, a literal to its negation.
    """
    clauses, variables = len(formula), _variables(formula)
    node = {sign * v: clauses + 2 * (v - 1) + (sign < 0) for v in range(1, variables + 1) for sign in (1, -1)}
    edges = [(clause, node[literal]) for clause, literals in enumerate(formula) for literal in literals]
    edges += [(node[v], node[-v]) for v in range(1, variables + 1)]
    both = sorted(edges + [(target, source) for source, target in edges])
    node_type = np.repeat(np.array([CLAUSE, LITERAL], dtype=np.int8), [clauses, 2 * variables])
    return TypedGraph(node_type, np.array(both, dtype=np.int16).T)


def _variables(formula: Formula) -> int:
    return max(abs(literal) for clause in formula for literal in clause)


def _chain(first: int, length: int, direction: int) -> Formula:
    """Variable i implies variable i + direction, cyclically: all of them are equal."""
    return [(-(first + i), first + (i + direction) % length) for i in range(length)]


def _new_formula(random: np.random.Generator, vertices: int, seen: set[Hashable]) -> Formula:
    """A satisfiable formula with a planar graph from a base graph not in `seen`, small enough for the largest core."""
    shares = _SIDES[vertices]
    clauses = int(random.choice(list(shares), p=list(shares.values())))
    for _ in range(_ATTEMPTS):
        base = planar_bipartite(random, clauses, vertices - clauses)
        formula = _formula(random, base, clauses)
        graph = formula_graph(formula)
        if not (satisfiable(graph) and _planar(graph)):
            continue
        merged = list(dict.fromkeys(tuple(sorted(clause)) for clause in formula))
        identity = _identity(base)
        if identity not in seen and formula_graph(merged).node_type.size + 4 * max(CORE_SIZES) <= MAX_NODES:
            seen.add(identity)
            return merged
    raise DataError(f"No new EXP formula on {vertices} vertices was found; ask for fewer pairs.")


def planar_bipartite(random: np.random.Generator, left: int, right: int) -> nx.Graph[int]:
    """A random connected planar bipartite graph of minimum degree 2, between nodes 0 .. left - 1 and `right` others.

    Edges are added in random order if the graph remains planar, which gives a maximal planar bipartite graph. Then some
    are removed if degrees and connectedness allow it.
    """
    import networkx as nx

    graph: nx.Graph[int] = nx.empty_graph(left + right)
    possible = list(product(range(left), range(left, left + right)))
    for edge in random.permutation(possible).tolist():
        if graph.number_of_edges() == 2 * (left + right) - 4:  # Euler: a planar bipartite graph has no more
            break
        graph.add_edge(*edge)
        if not nx.check_planarity(graph)[0]:
            graph.remove_edge(*edge)
    for edge in random.permutation(list(graph.edges)).tolist():
        if random.random() < _THINNING and min(graph.degree[node] for node in edge) > 2:
            graph.remove_edge(*edge)
            if not nx.is_connected(graph):
                graph.add_edge(*edge)
    return graph


def _formula(random: np.random.Generator, base: nx.Graph[int], clauses: int) -> Formula:
    """Makes clauses of the nodes below `clauses`, splits long ones, and gives every literal a random sign."""
    import networkx as nx

    _, embedding = nx.check_planarity(base)
    assert isinstance(embedding, nx.PlanarEmbedding)
    formula = []
    for clause in range(clauses):
        variables = [node - clauses + 1 for node in embedding.neighbors_cw_order(clause)]
        for chunk in [variables] if len(variables) <= MAX_CLAUSE else _chunks(random, variables):
            formula.append(tuple(int(random.choice((-1, 1))) * variable for variable in chunk))
    return formula


def _chunks(random: np.random.Generator, variables: list[int]) -> Iterator[list[int]]:
    """Consecutive chunks of random size 2 .. 5; a single remaining variable is added to the last chunk."""
    start = 0
    while start < len(variables):
        end = start + int(random.integers(2, MAX_CLAUSE + 1))
        if len(variables) - end < 2:
            end = len(variables)
        yield variables[start:end]
        start = end


def _planar(graph: TypedGraph) -> bool:
    import networkx as nx

    planar: bool = nx.check_planarity(nx.Graph(graph.edge_index.T.tolist()))[0]
    return planar


def _identity(graph: nx.Graph[int]) -> Hashable:
    """The isomorphism class of a graph without types."""
    edges = np.array([edge for u, v in graph.edges for edge in ((u, v), (v, u))])
    return certificate(TypedGraph(np.zeros(graph.number_of_nodes(), dtype=np.int8), edges.T))
