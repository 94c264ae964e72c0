"""Graphs of different sizes, stored concatenated and padded on access.

Dense edges of a large data set would not fit into memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from tasks.errors import DataError
from tasks.sources.graph_arrays import GraphArrays
from tasks.symmetry.element import Element
from tasks.symmetry.structure import Structure

UNLABELLED, ABSENT = -1.0, -2.0


@dataclass(frozen=True)
class Segments:
    """The positions of M graphs in concatenated arrays.

    Attributes:
        start: The first item of each graph, int64 ``[M]``.
        count: The number of items of each graph, int64 ``[M]``.
        most: The largest count, which makes the shape of gathered items independent of the data, so that the host does
            not wait for the device.
    """

    start: Tensor
    count: Tensor
    most: int

    @staticmethod
    def between(offset: Tensor) -> Segments:
        """The segments ``offset[m] .. offset[m + 1] - 1`` for ``offset`` ``[M + 1]``."""
        count = offset.diff()
        return Segments(offset[:-1], count, int(count.max()) if len(count) else 0)

    def __getitem__(self, index: Tensor | slice) -> Segments:
        return Segments(self.start[index], self.count[index], self.most)

    def taken(self, index: Tensor) -> tuple[Segments, Tensor]:
        """The segments of the graphs ``index`` ``[B]`` alone, and the items to take, ``[sum of their counts]``."""
        count = self.count[index]
        start = count.cumsum(0) - count
        items = torch.arange(int(count.sum())) + (self.start[index] - start).repeat_interleave(count)
        return Segments(start, count, int(count.max()) if len(count) else 0), items

    def gathered(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Gathers items of graphs.

        Args:
            values: Items of all graphs, ``[sum of counts, ...]``.

        Returns:
            Items ``[M, most, ...]``, and True for those that exist ``[M, most]``; the others have arbitrary values.
        """
        step = torch.arange(self.most, device=self.count.device)
        places = (self.start[:, None] + step).clamp_max(max(len(values) - 1, 0))
        return values[places], step < self.count[:, None]

    def to(self, device: torch.device | str) -> Segments:
        """Moves the segments to a device."""
        return Segments(self.start.to(device), self.count.to(device), self.most)


class Ragged(ABC):
    """Graphs of different sizes. Indexing gives a :class:`Structure` padded to ``size`` nodes.

    Subclasses are frozen dataclasses with these fields and the features of nodes and edges.

    Attributes:
        size: N, the number of nodes of the structures.
        nodes: The nodes of each graph.
        edges: The edges of each graph.
        edge_index: Node indices within each graph, ``[2, sum of edges]``.
        key: As in :class:`Structure`.
        ranks: As in :class:`Structure`.
        dtype: The dtype of the structures.
    """

    size: int
    nodes: Segments
    edges: Segments
    edge_index: Tensor
    key: Tensor
    ranks: Tensor
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.nodes.count)

    @abstractmethod
    def __getitem__(self, index: Tensor | slice) -> Structure: ...

    def part(self, index: Tensor | slice) -> Self:
        """The store of the graphs at these indices."""
        nodes, edges = self.nodes[index], self.edges[index]
        return replace(self, nodes=nodes, edges=edges, key=self.key[index], ranks=self.ranks[index])  # type: ignore[type-var]

    def keyed(self, first: int) -> Self:
        """The graphs with ``first`` added to their keys."""
        return replace(self, key=self.key + first)  # type: ignore[type-var]

    def first(self, size: int | None) -> Self:
        """The first ``size`` graphs, or all if it is None."""
        return self.part(slice(size))

    @property
    def outline(self) -> Structure:
        """Structures with a mask and no features, which are sufficient for permutations."""
        mask = torch.arange(self.size, device=self.nodes.count.device) < self.nodes.count[:, None]
        return Structure.build(mask, node_scalars=torch.zeros(*mask.shape, 0, dtype=self.dtype, device=mask.device))

    def acted(self, element: Element) -> Moved:
        """The action rho_in(g) x with one element for each graph, computed on access."""
        return Moved(self, element)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Moves the graphs to a device; ``dtype`` is that of the structures."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor | Segments)}
        return replace(self, dtype=dtype or self.dtype, **moved)  # type: ignore[type-var]


@dataclass(frozen=True)
class RaggedGraphs(Ragged):
    """Graphs whose features are classes: node scalars are one-hot, edge scalars are 1 and one-hot.

    Attributes:
        size: As in :class:`Ragged`, like all attributes that are not listed here.
        node_ones: The channels of node scalars that are one, uint8 ``[sum of nodes, F]``.
        edge_ones: The channels of edge scalars that are one, uint8 ``[sum of edges, F']``.
        node_scalars: Number of channels of node scalars.
        edge_scalars: Number of channels of edge scalars.
    """

    size: int
    nodes: Segments
    edges: Segments
    node_ones: Tensor
    edge_ones: Tensor
    edge_index: Tensor
    node_scalars: int
    edge_scalars: int
    key: Tensor
    ranks: Tensor
    dtype: torch.dtype = torch.float32

    @staticmethod
    def of(
        graphs: GraphArrays, size: int, node_classes: Sequence[int], edge_classes: Sequence[int] = ()
    ) -> RaggedGraphs:
        """Makes a store of graphs.

        Args:
            graphs: The graphs.
            size: The number of nodes to pad to.
            node_classes: Number of classes of each column of node features.
            edge_classes: Number of classes of each column of edge features.

        Raises:
            DataError: A graph has more than ``size`` nodes, or a feature is no class.
        """
        counts = graphs.node_counts
        if len(graphs) and counts.max() > size:
            raise DataError(
                f"Graph {counts.argmax()} has {counts.max()} nodes and the task pads to {size}: "
                "raise the task's nodes, or leave the graph out."
            )
        return RaggedGraphs(
            size=size,
            nodes=Segments.between(torch.from_numpy(graphs.node_offset)),
            edges=Segments.between(torch.from_numpy(graphs.edge_offset)),
            node_ones=torch.from_numpy(channels(graphs.node_features, node_classes, 0)),
            edge_ones=torch.from_numpy(channels(graphs.edge_features, edge_classes, 1)),
            edge_index=torch.from_numpy(graphs.edge_index.astype(np.uint8 if size <= 256 else np.int16)),
            node_scalars=sum(node_classes),
            edge_scalars=1 + sum(edge_classes),
            key=torch.arange(len(graphs)),
            ranks=torch.zeros(len(graphs), size, 0, dtype=torch.int16),
        )

    def __getitem__(self, index: Tensor | slice) -> Structure:
        part = self.part(index)
        ones, exist = part.nodes.gathered(self.node_ones)
        node_scalars = many_hot(ones, self.node_scalars, self.dtype) * exist[..., None]
        ones, exist = part.edges.gathered(self.edge_ones)
        edges = many_hot(ones, self.edge_scalars, self.dtype)
        edges[..., 0] = 1
        ends, _ = part.edges.gathered(self.edge_index.T)
        structure = Structure.build(
            part.outline.mask,
            node_scalars=pad(node_scalars, (0, 0, 0, self.size - node_scalars.shape[1])),
            edge_scalars=laid_out(edges, ends, exist, self.size, 0.0),
        )
        return replace(structure, key=part.key, ranks=part.ranks)


@dataclass(frozen=True)
class RaggedStructures(Ragged):
    """Graphs whose features are numbers.

    Attributes:
        size: As in :class:`Ragged`, like all attributes that are not listed here.
        node_scalars: ``[sum of nodes, C]``.
        points: ``[sum of nodes, D, P]``.
        vectors: ``[sum of nodes, D, V]``.
        edge_scalars: ``[sum of edges, E]``.
    """

    size: int
    nodes: Segments
    edges: Segments
    edge_index: Tensor
    node_scalars: Tensor
    points: Tensor
    vectors: Tensor
    edge_scalars: Tensor
    key: Tensor
    ranks: Tensor
    dtype: torch.dtype = torch.float32

    def __getitem__(self, index: Tensor | slice) -> Structure:
        part = self.part(index)
        edges, exist = part.edges.gathered(self.edge_scalars)
        ends, _ = part.edges.gathered(self.edge_index.T)
        structure = Structure.build(
            part.outline.mask,
            node_scalars=part._of_nodes(self.node_scalars),
            points=part._of_nodes(self.points),
            vectors=part._of_nodes(self.vectors),
            edge_scalars=laid_out(edges.to(self.dtype), ends, exist, self.size, 0.0),
        )
        return replace(structure, key=part.key, ranks=part.ranks)

    def _of_nodes(self, values: Tensor) -> Tensor:
        """Values ``[sum of nodes, ...]`` of the nodes of each graph, padded with zeros, ``[B, N, ...]``."""
        found, exist = self.nodes.gathered(values)
        found = found.to(self.dtype) * exist.view(*exist.shape, *[1] * (values.dim() - 1))
        return pad(found, (0, 0) * (values.dim() - 1) + (0, self.size - found.shape[1]))

    def taken(self, index: Tensor) -> RaggedStructures:
        """A store of the graphs ``index`` ``[B]`` alone, which keeps nothing of the others."""
        nodes, of_nodes = self.nodes.taken(index)
        edges, of_edges = self.edges.taken(index)
        return replace(
            self,
            nodes=nodes,
            edges=edges,
            edge_index=self.edge_index[:, of_edges],
            node_scalars=self.node_scalars[of_nodes],
            points=self.points[of_nodes],
            vectors=self.vectors[of_nodes],
            edge_scalars=self.edge_scalars[of_edges],
            key=torch.arange(len(index)),
            ranks=self.ranks[index],
        )

    @property
    def outline(self) -> Structure:
        bare = super().outline
        return replace(bare, points=self.points.new_zeros(*bare.mask.shape, self.points.shape[1], 0, dtype=self.dtype))


@dataclass(frozen=True)
class Moved:
    """Stored graphs, each transformed by its own group element on access."""

    graphs: Ragged
    element: Element

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index: Tensor | slice) -> Structure:
        return self.graphs[index].acted(self.element[index])

    @property
    def outline(self) -> Structure:
        """As in :class:`Ragged`."""
        return self.graphs.outline  # no element moves absent nodes


Stored = TypeVar("Stored", bound=Structure | RaggedGraphs | RaggedStructures)


@dataclass(frozen=True)
class RaggedPairs:
    """Labels of some pairs of nodes of each graph. Indexing gives ``[B, N, N, 1]``.

    A pair without a label is -1; a pair that does not exist is -2.

    Attributes:
        size: N.
        node_counts: The number of nodes of each graph, ``[M]``.
        pairs: The labelled pairs of each graph.
        index: Node indices within each graph, ``[2, sum of pairs]``.
        label: Small integers ``[sum of pairs]``.
        dtype: The dtype of the result.
    """

    size: int
    node_counts: Tensor
    pairs: Segments
    index: Tensor
    label: Tensor
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.pairs.count)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        pairs = self.pairs[index]
        labels, exist = pairs.gathered(self.label)
        ends, _ = pairs.gathered(self.index.T)
        found = laid_out(labels[..., None].to(self.dtype), ends, exist, self.size, UNLABELLED)
        present = torch.arange(self.size, device=self.device) < self.node_counts[index, None]
        return found.masked_fill(~(present[:, :, None] & present[:, None])[..., None], ABSENT)

    def first(self, size: int | None) -> RaggedPairs:
        """The labels of the first ``size`` graphs, or of all if it is None."""
        return replace(self, node_counts=self.node_counts[:size], pairs=self.pairs[:size])

    @property
    def device(self) -> torch.device:
        """The device of the labels."""
        return self.label.device

    def to(self, device: torch.device | str, dtype: torch.dtype) -> RaggedPairs:
        """Moves the labels to a device; ``dtype`` is that of the result."""
        return replace(
            self,
            node_counts=self.node_counts.to(device),
            pairs=self.pairs.to(device),
            index=self.index.to(device),
            label=self.label.to(device),
            dtype=dtype,
        )


def channels(features: NDArray[np.uint8], classes: Sequence[int], first: int) -> NDArray[np.uint8]:
    """Maps classes to channels of a one-hot encoding, in which the channels of all columns are concatenated.

    Args:
        features: The class of each row and column, uint8 ``[R, F]``.
        classes: Number of classes of each column.
        first: The first channel.

    Returns:
        Channels, uint8 ``[R, F]``.

    Raises:
        DataError: A feature is not below the number of classes.
    """
    number = np.asarray(classes, dtype=np.int64)
    beyond = np.argwhere(features >= number)
    if beyond.size:
        row, column = beyond[0]
        raise DataError(
            f"Feature {column} of the data has a class {features[row, column]}, but {classes[column]} classes are "
            "known: this is another data set."
        )
    begins = first + np.cumsum(number) - number
    return (features + begins).astype(np.uint8)


def many_hot(ones: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Zeros ``[..., width]`` with ones at the channels ``ones`` ``[..., F]``."""
    return torch.zeros(*ones.shape[:-1], width, dtype=dtype, device=ones.device).scatter_(-1, ones.long(), 1)


def laid_out(values: Tensor, ends: Tensor, exist: Tensor, size: int, fill: float) -> Tensor:
    """Writes values of pairs of nodes to a dense tensor.

    Args:
        values: ``[B, E, C]``.
        ends: The two nodes of each pair, ``[B, E, 2]``.
        exist: True for pairs that exist, ``[B, E]``. All others are written to an extra entry, which is dropped.
        size: Number of nodes.
        fill: The value of all other pairs.

    Returns:
        ``[B, size, size, C]``.
    """
    source, target = ends.long().unbind(-1)
    places = torch.where(exist, source * size + target, size * size)
    batch = torch.arange(len(values), device=values.device)[:, None]
    flat = values.new_full((len(values), size * size + 1, values.shape[-1]), fill)
    flat[batch, places] = values
    return flat[:, :-1].unflatten(1, (size, size)).contiguous()
