"""EXP: pairs of formula graphs that 1-WL cannot tell apart (Abboud et al. 2021).

Each pair holds a satisfiable and an unsatisfiable formula. The published set is used where its file stands in a data
folder; the generator here follows the authors' procedure and gives a *variant* of it, which results must name as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.sources import cache
from tasks.sources.exp_generator import MAX_NODES, formula_pairs
from tasks.sources.graph_checks import TypedGraph, colour_refinement_equivalent, isomorphic, satisfiable

__all__ = [
    "MAX_NODES",
    "ExpGraphs",
    "available",
    "colour_refinement_equivalent",
    "generated",
    "isomorphic",
    "official",
    "pair_faults",
    "satisfiable",
]

GENERATOR_VERSION = 1
OFFICIAL_NAME = "exp.npz"
OFFICIAL_SHA256 = "a16faee6db75662fff4dd439d3babd6480c87e4ea3bd50c68e06f1be41d4f947"
_FIELDS = ("node_offset", "edge_offset", "node_type", "edge_index", "label")


@dataclass(frozen=True, eq=False)
class ExpGraphs:
    """G graphs laid end to end; graphs 2p and 2p + 1 are pair p, the first satisfiable, the second not.

    Attributes:
        node_offset: [G + 1], int64; the nodes of graph g are node_offset[g] .. node_offset[g + 1] - 1.
        edge_offset: [G + 1], int64; the same for directed edges.
        node_type: [N], int8; 0 is a clause, 1 a literal.
        edge_index: [2, M], int16; node indices local to each graph, every edge in both directions.
        label: [G], int8; 1 is satisfiable.
    """

    node_offset: NDArray[np.int64]
    edge_offset: NDArray[np.int64]
    node_type: NDArray[np.int8]
    edge_index: NDArray[np.int16]
    label: NDArray[np.int8]

    @classmethod
    def pack(cls, graphs: Sequence[TypedGraph]) -> ExpGraphs:
        """Lays graphs, given in pair order, end to end."""
        nodes = [graph.node_type.size for graph in graphs]
        edges = [graph.edge_index.shape[1] for graph in graphs]
        return cls(
            node_offset=np.cumsum([0, *nodes], dtype=np.int64),
            edge_offset=np.cumsum([0, *edges], dtype=np.int64),
            node_type=np.concatenate([np.empty(0, np.int8), *(graph.node_type for graph in graphs)]).astype(np.int8),
            edge_index=np.concatenate([np.empty((2, 0), np.int16), *(g.edge_index for g in graphs)], 1).astype(
                np.int16
            ),
            label=np.array([1, 0] * (len(graphs) // 2), dtype=np.int8),
        )

    def __len__(self) -> int:
        return self.label.size

    def graph(self, index: int) -> TypedGraph:
        """Graph `index`, 0 .. G - 1."""
        if not 0 <= index < len(self):
            raise IndexError(f"graph {index} of {len(self)}")
        nodes = slice(self.node_offset[index], self.node_offset[index + 1])
        edges = slice(self.edge_offset[index], self.edge_offset[index + 1])
        return TypedGraph(self.node_type[nodes], self.edge_index[:, edges])

    def pairs(self) -> list[tuple[TypedGraph, TypedGraph]]:
        """The pairs (satisfiable, unsatisfiable)."""
        return [(self.graph(index), self.graph(index + 1)) for index in range(0, len(self), 2)]


def available() -> str:
    """Which set this installation has at hand: "official" if its file stands in a data folder, else "generated"."""
    return "generated" if cache.find(OFFICIAL_NAME) is None else "official"


def official() -> ExpGraphs | None:
    """The published set of 600 pairs, or None where no data folder holds its file `exp.npz`.

    Raises:
        cache.DataError: the file is not the published one.
    """
    path = cache.find(OFFICIAL_NAME)
    if path is None:
        return None
    if cache.sha256(path) != OFFICIAL_SHA256:
        raise cache.DataError(
            f"{path} is not the published EXP set (its SHA-256 is not {OFFICIAL_SHA256}); "
            "replace it, or remove it to use the generated variant."
        )
    return ExpGraphs(**cache.load(path, _FIELDS))


def generated(seed: int = 0, pairs: int = 600) -> ExpGraphs:
    """A variant of EXP made offline, kept in the cache: five sixths of the pairs from 12 vertices, the rest from 15.

    Every pair is checked before it is stored (`pair_faults`). No graph exceeds 64 nodes.

    Raises:
        ValueError: `pairs` or `seed` is negative.
        cache.DataError: a pair fails its checks, the file is damaged, or the cache cannot be used.
    """
    if pairs < 0 or seed < 0:
        raise ValueError(f"pairs and seed must not be negative, as in pairs={pairs}, seed={seed}")
    name = cache.versioned_name("exp-generated", GENERATOR_VERSION, pairs=pairs, seed=seed)
    return ExpGraphs(**cache.arrays(name, _FIELDS, lambda: _generate(seed, pairs)))


def pair_faults(first: TypedGraph, second: TypedGraph) -> list[str]:
    """What keeps two graphs from being a pair of EXP; empty if they are one.

    A pair is not isomorphic, not told apart by 1-WL started from the node types, first satisfiable and then
    unsatisfiable.
    """
    faults = {
        "isomorphic": isomorphic(first, second),
        "told apart by 1-WL": not colour_refinement_equivalent(first, second),
        "first is not satisfiable": not satisfiable(first),
        "second is satisfiable": satisfiable(second),
    }
    return [fault for fault, found in faults.items() if found]


def _generate(seed: int, pairs: int) -> cache.Arrays:
    made = formula_pairs(np.random.default_rng(seed), pairs)
    for index, pair in enumerate(made):
        if faults := pair_faults(*pair):
            raise cache.DataError(
                f"Generated EXP pair {index} (seed {seed}) is wrong ({', '.join(faults)}): "
                "pynauty or python-sat does not work; reinstall them."
            )
    packed = ExpGraphs.pack([graph for pair in made for graph in pair])
    return {field: getattr(packed, field) for field in _FIELDS}
