"""BREC: 400 pairs of graphs that are hard to distinguish, in seven categories (Wang and Zhang 2023).

Its authors publish a NumPy file of relabelled copies; this module reads a table of the pairs in graph6.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.sources import cache

NAME = "brec.csv"
SHA256 = "5c04589da2ba5a3c4df8237591a71b182d7dc789feb054cd6649a9e2aae5ef92"
COLUMNS = ("pair", "category", "graph6_a", "graph6_b")
CATEGORIES = {
    "basic": 60,
    "regular": 50,
    "strongly_regular": 50,
    "extension": 100,
    "cfi": 100,
    "four_vertex_condition": 20,
    "distance_regular": 20,
}
MAX_NODES = 198


@dataclass(frozen=True, eq=False)
class GraphPair:
    """Two graphs that are not isomorphic and have the same number of nodes.

    Attributes:
        category: One of `CATEGORIES`.
        first: Symmetric adjacency matrix [n, n], uint8.
        second: Symmetric adjacency matrix [n, n], uint8.
    """

    category: str
    first: NDArray[np.uint8]
    second: NDArray[np.uint8]

    @property
    def nodes(self) -> int:
        """n, the number of nodes of each graph."""
        return len(self.first)


def pairs() -> tuple[GraphPair, ...]:
    """The 400 pairs in the published order.

    Raises:
        DataError: No data folder has the table, or the file is not the published one.
    """
    path = cache.find(NAME)
    if path is None:
        raise DataError(
            f"BREC is in none of {', '.join(map(str, cache.folders()))}: put {NAME} there, a table of the 400 pairs of "
            f"github.com/GraphPKU/BREC with the columns {', '.join(COLUMNS)} (SHA-256 {SHA256})."
        )
    if cache.sha256(path) != SHA256:
        raise DataError(f"{path} is not the table of BREC's pairs (its SHA-256 is not {SHA256}); replace it.")
    return read(path)


def read(path: Path) -> tuple[GraphPair, ...]:
    """Reads a table with the columns `COLUMNS`.

    Raises:
        DataError: A column is missing, or a row does not have two graphs of the same size.
    """
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
            raise DataError(f"{path} has no column {' and no column '.join(missing)}; replace it.")
        return tuple(_pair(path, row) for row in rows)


def _pair(path: Path, row: dict[str, str]) -> GraphPair:
    try:
        first, second = (adjacency(row[column]) for column in ("graph6_a", "graph6_b"))
    except Exception as error:  # the errors of networkx depend on the text
        raise DataError(f"{path}: pair {row['pair']} is not in graph6 ({error}); replace it.") from error
    if len(first) != len(second):
        raise DataError(f"{path}: the graphs of pair {row['pair']} differ in size; replace it.")
    return GraphPair(row["category"], first, second)


def adjacency(graph6: str) -> NDArray[np.uint8]:
    """The adjacency matrix [n, n] of a graph in graph6: uint8, symmetric, with a zero diagonal."""
    import networkx as nx

    return nx.to_numpy_array(nx.from_graph6_bytes(graph6.encode("ascii"))).astype(np.uint8)
