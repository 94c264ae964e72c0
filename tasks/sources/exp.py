"""EXP: pairs of formula graphs that 1-WL cannot distinguish (Abboud et al. 2021).

Each pair has a satisfiable and an unsatisfiable formula. The published set is used if its file is in a data folder.
The generator follows the authors' procedure and makes a *variant* of the set, which results name as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
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
    """G concatenated graphs. Graphs 2p and 2p + 1 are pair p; the first is satisfiable, the second is not.

    Attributes:
        node_offset: The nodes of graph g are node_offset[g] .. node_offset[g + 1] - 1; int64 [G + 1].
        edge_offset: The same for directed edges; int64 [G + 1].
        node_type: 0 for a clause, 1 for a literal; int8 [N].
        edge_index: Node indices local to each graph, every edge in both directions; int16 [2, M].
        label: 1 if the formula is satisfiable; int8 [G].
    """

    node_offset: NDArray[np.int64]
    edge_offset: NDArray[np.int64]
    node_type: NDArray[np.int8]
    edge_index: NDArray[np.int16]
    label: NDArray[np.int8]

    @classmethod
    def pack(cls, graphs: Sequence[TypedGraph]) -> ExpGraphs:
        """Concatenates graphs, given in the order of pairs."""
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
    """Returns "official" if a data folder has the published set, else "generated"."""
    return "generated" if cache.find(OFFICIAL_NAME) is None else "official"


def official() -> ExpGraphs | None:
    """Returns the published set of 600 pairs, or None if no data folder has its file `exp.npz`.

    Raises:
        DataError: The file is not the published one.
    """
    path = cache.find(OFFICIAL_NAME)
    if path is None:
        return None
    if cache.sha256(path) != OFFICIAL_SHA256:
        raise DataError(
            f"{path} is not the published EXP set (its SHA-256 is not {OFFICIAL_SHA256}); "
            "replace it, or remove it to use the generated variant."
        )
    return ExpGraphs(**cache.load(path, _FIELDS))


def generated(seed: int = 0, pairs: int = 600) -> ExpGraphs:
    """Generates a variant of EXP, kept in the cache: five sixths of the pairs from 12 vertices, the rest from 15.

    Every pair is checked before it is stored (`pair_faults`). No graph has more than 64 nodes.

    Raises:
        ValueError: `pairs` or `seed` is negative.
        DataError: A pair fails its checks, the file is damaged, or the cache cannot be used.
    """
    if pairs < 0 or seed < 0:
        raise ValueError(f"pairs and seed must not be negative, as in pairs={pairs}, seed={seed}")
    name = cache.versioned_name("exp-generated", GENERATOR_VERSION, pairs=pairs, seed=seed)
    return ExpGraphs(**cache.arrays(name, _FIELDS, lambda: _generate(seed, pairs)))


def pair_faults(first: TypedGraph, second: TypedGraph) -> list[str]:
    """Checks that two graphs are a pair of EXP; returns the reasons if they are not.

    The graphs of a pair are not isomorphic and are not distinguished by 1-WL that starts from the node types. The first
    is satisfiable and the second is not.
    """
    faults = {
        "isomorphic": isomorphic(first, second),
        "separated by 1-WL": not colour_refinement_equivalent(first, second),
        "first is not satisfiable": not satisfiable(first),
        "second is satisfiable": satisfiable(second),
    }
    return [fault for fault, found in faults.items() if found]


def _generate(seed: int, pairs: int) -> cache.Arrays:
    made = formula_pairs(np.random.default_rng(seed), pairs)
    for index, pair in enumerate(made):
        if faults := pair_faults(*pair):
            raise DataError(
                f"Generated EXP pair {index} (seed {seed}) is wrong ({', '.join(faults)}): "
                "pynauty or python-sat does not work; reinstall them."
            )
    packed = ExpGraphs.pack([graph for pair in made for graph in pair])
    return {field: getattr(packed, field) for field in _FIELDS}
