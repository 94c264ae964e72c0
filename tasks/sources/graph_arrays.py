"""Concatenated graphs in plain arrays, with checks of graphs that were read from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.errors import DataError


@dataclass(frozen=True, eq=False)
class GraphArrays:
    """G concatenated graphs whose features are classes.

    Attributes:
        node_offset: The nodes of graph g are node_offset[g] .. node_offset[g + 1] - 1; int64 [G + 1].
        edge_offset: The same for directed edges; int64 [G + 1].
        node_features: uint8 [N, F].
        edge_index: Node indices local to each graph, sources in row 0; [2, M] of the smallest unsigned type.
        edge_features: uint8 [M, F'].
    """

    node_offset: NDArray[np.int64]
    edge_offset: NDArray[np.int64]
    node_features: NDArray[np.uint8]
    edge_index: NDArray[Any]
    edge_features: NDArray[np.uint8]

    def __len__(self) -> int:
        return self.node_offset.size - 1

    @property
    def node_counts(self) -> NDArray[np.int64]:
        """The number of nodes of each graph, [G]."""
        return np.diff(self.node_offset)

    @property
    def edge_counts(self) -> NDArray[np.int64]:
        """The number of directed edges of each graph, [G]."""
        return np.diff(self.edge_offset)

    @classmethod
    def pack(
        cls,
        source: str,
        node_features: Sequence[NDArray[Any]],
        edge_index: Sequence[NDArray[Any]],
        edge_features: Sequence[NDArray[Any]],
    ) -> GraphArrays:
        """Concatenates and checks graphs.

        Args:
            source: The name of the file, for messages.
            node_features: ``[n, F]`` for each graph.
            edge_index: ``[2, m]`` for each graph.
            edge_features: ``[m, F']`` for each graph.

        Raises:
            DataError: A graph has no nodes, an edge to a node that it does not have or the same edge twice, or a
                feature is no class (a whole number from 0 to 255).
        """
        largest = max((len(features) for features in node_features), default=1)
        index = np.min_scalar_type(largest)
        for graph, edges in enumerate(edge_index):
            count = len(node_features[graph])
            if edges.size and (edges.min() < 0 or edges.max() >= count):
                raise DataError(f"{source}: graph {graph} has an edge to a node beyond its {count} nodes; replace it.")
        packed = cls(
            node_offset=offsets([len(features) for features in node_features]),
            edge_offset=offsets([edges.shape[1] for edges in edge_index]),
            node_features=as_classes(source, _end_to_end(node_features)),
            edge_index=np.concatenate([np.empty((2, 0), index), *(edges.astype(index) for edges in edge_index)], 1),
            edge_features=as_classes(source, _end_to_end(edge_features)),
        )
        if (empty := np.flatnonzero(packed.node_counts == 0)).size:
            raise DataError(f"{source}: graph {empty[0]} has no nodes; leave it out.")
        if len(packed.edge_features) != packed.edge_offset[-1]:
            raise DataError(f"{source}: edges and edge features differ in number; replace it.")
        if (repeated := packed._repeated_edge(largest)) is not None:
            raise DataError(f"{source}: graph {repeated} lists an edge twice; list it once.")
        return packed

    def _repeated_edge(self, largest: int) -> int | None:
        """Returns the first graph that lists an edge twice, or None."""
        keys = np.sort(pair_keys(self.edge_offset, self.edge_index, largest))
        repeated = keys[1:][keys[1:] == keys[:-1]]
        return int(repeated[0] // largest**2) if repeated.size else None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, for storage."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def of(cls, stored: Mapping[str, NDArray[Any]]) -> GraphArrays:
        """The inverse of :meth:`arrays`; other names are ignored."""
        return cls(**{item.name: stored[item.name] for item in fields(cls)})


def offsets(counts: ArrayLike) -> NDArray[np.int64]:
    """The offsets ``[G + 1]`` of G graphs with ``counts`` ``[G]`` items: the start of each, and the end of the last."""
    return np.append(0, np.cumsum(counts, dtype=np.int64))


def pair_keys(offset: NDArray[np.int64], index: NDArray[Any], largest: int) -> NDArray[np.int64]:
    """A unique number ``[M]`` for each pair of nodes ``index`` ``[2, M]``, for graphs of at most ``largest`` nodes."""
    graph = np.repeat(np.arange(offset.size - 1), np.diff(offset))
    source, target = index.astype(np.int64)
    return (graph * largest + source) * largest + target


def as_classes(source: str, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Converts features to uint8.

    Raises:
        DataError: A value is no whole number from 0 to 255.
    """
    with np.errstate(invalid="ignore"):
        classes = values.astype(np.uint8)
    if not np.array_equal(classes, values):
        raise DataError(f"{source}: a feature is no class (a whole number from 0 to 255); replace the file.")
    return classes


def _end_to_end(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty((0, 0), np.uint8)
