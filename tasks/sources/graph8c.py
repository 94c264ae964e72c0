"""GRAPH8c: every connected graph on eight vertices (Balcilar et al. 2021), enumerated instead of downloaded.

Every connected graph on n vertices has a vertex whose removal leaves it connected. So all of them are obtained from the
connected graphs on n - 1 vertices by adding a vertex with every non-empty neighbourhood. Certificates of nauty keep one
graph of each isomorphism class. The numbers of classes are known (OEIS A001349) and checked.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.sources import cache

GENERATOR_VERSION = 1
CONNECTED_GRAPHS = {1: 1, 2: 1, 3: 2, 4: 6, 5: 21, 6: 112, 7: 853, 8: 11_117}


def connected_graphs(nodes: int = 8) -> NDArray[np.uint8]:
    """All connected graphs on `nodes` vertices, one of each isomorphism class, in a fixed order.

    Takes some seconds for eight vertices; the result is kept in the cache.

    Args:
        nodes: Number of vertices, 1 to 8.

    Returns:
        Adjacency matrices [graphs, nodes, nodes], uint8, symmetric with a zero diagonal; 11,117 graphs for eight
        vertices.

    Raises:
        ValueError: `nodes` is not in 1..8.
        DataError: The number of graphs is wrong, or the cache cannot be used.
    """
    if nodes not in CONNECTED_GRAPHS:
        raise ValueError(f"connected graphs are enumerated for 1 to 8 vertices, not for {nodes}")
    name = cache.versioned_name("connected-graphs", GENERATOR_VERSION, nodes=nodes)
    adjacency = cache.arrays(name, ["adjacency"], lambda: {"adjacency": _enumerate(nodes)})["adjacency"]
    if adjacency.shape != (CONNECTED_GRAPHS[nodes], nodes, nodes):
        raise DataError(
            f"{cache.find(name)} holds an array of shape {adjacency.shape}; delete it, and it is built again."
        )
    return adjacency.astype(np.uint8, copy=False)


def _enumerate(nodes: int) -> NDArray[np.uint8]:
    graphs: list[list[int]] = [[0]]  # a graph is a list of neighbourhoods, each a bit set
    for size in range(1, nodes):
        graphs = list({_certificate(graph): graph for graph in _extensions(graphs, size)}.values())
        if len(graphs) != CONNECTED_GRAPHS[size + 1]:
            raise DataError(
                f"{len(graphs)} connected graphs on {size + 1} vertices in place of {CONNECTED_GRAPHS[size + 1]}: "
                "the installed pynauty does not work; reinstall it."
            )
    neighbourhoods = np.array(graphs, dtype=np.uint16)[:, :, None]
    return (neighbourhoods >> np.arange(nodes, dtype=np.uint16) & 1).astype(np.uint8)


def _extensions(graphs: list[list[int]], size: int) -> Iterator[list[int]]:
    """Every graph on `size` vertices with one more vertex, for every non-empty neighbourhood of it."""
    for graph in graphs:
        for neighbourhood in range(1, 1 << size):
            yield [old | (neighbourhood >> v & 1) << size for v, old in enumerate(graph)] + [neighbourhood]


def _certificate(graph: list[int]) -> bytes:
    import pynauty

    size = len(graph)
    adjacency = {v: [u for u in range(size) if graph[v] >> u & 1] for v in range(size)}
    return bytes(pynauty.certificate(pynauty.Graph(size, adjacency_dict=adjacency)))
