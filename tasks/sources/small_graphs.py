"""Five small graphs whose automorphism groups are known (Kim et al. 2023, appendix), and the orbits of any graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Example(NamedTuple):
    """A graph with ``nodes`` nodes, its undirected edges and its number of automorphisms."""

    nodes: int
    edges: tuple[tuple[int, int], ...]
    automorphisms: int

    @property
    def adjacency(self) -> NDArray[np.uint8]:
        """The symmetric adjacency matrix [n, n], uint8."""
        matrix = np.zeros((self.nodes, self.nodes), dtype=np.uint8)
        ends = np.array(self.edges).T
        matrix[ends[0], ends[1]] = matrix[ends[1], ends[0]] = 1
        return matrix


def _grid(side: int) -> tuple[tuple[int, int], ...]:
    places = np.arange(side * side).reshape(side, side)
    pairs = [(places[:, :-1], places[:, 1:]), (places[:-1], places[1:])]
    return tuple((int(a), int(b)) for one, other in pairs for a, b in zip(one.flat, other.flat, strict=True))


EXAMPLES: Mapping[str, Example] = {
    "trivial": Example(7, ((0, 1), (1, 2), (2, 0), (2, 3), (1, 4), (4, 5), (2, 5), (5, 6)), 1),
    "S_6": Example(7, tuple((0, leaf) for leaf in range(1, 7)), 720),
    "S_3 x S_2": Example(7, ((0, 1), (0, 2), (0, 3), (4, 5), (4, 6), (0, 4)), 12),
    "D_7": Example(7, tuple((node, (node + 1) % 7) for node in range(7)), 14),
    "D_4": Example(25, _grid(5), 8),
}


def orbits(adjacency: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The orbits of the automorphism group of a graph: for each node the first node of its orbit, [n].

    Args:
        adjacency: Symmetric adjacency matrix [n, n].
    """
    import pynauty

    neighbours = {node: row.nonzero()[0].tolist() for node, row in enumerate(adjacency)}
    *_, representatives, _ = pynauty.autgrp(pynauty.Graph(len(adjacency), adjacency_dict=neighbours))
    return np.array(representatives, dtype=np.int64)
