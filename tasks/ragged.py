"""Graphs of many sizes stored end to end, padded when they are taken: dense edges of a whole data set fit nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from tasks.sources.cache import DataError
from tasks.sources.graph_arrays import GraphArrays
from tasks.symmetry.element import Element
from tasks.symmetry.structure import Structure

UNLABELLED, ABSENT = -1.0, -2.0


@dataclass(frozen=True)
class Segments:
    """Where each of M graphs lies in arrays stored end to end: ``start`` and ``count`` ``[M]``, int64.

    ``most`` is the largest count, so that what is gathered has the same shape whatever is taken: no device is waited
    for.
    """

    start: Tensor
    count: Tensor
    most: int

    @staticmethod
    def between(offset: Tensor) -> Segments:
        """From ``offset`` ``[M + 1]``: graph m lies at ``offset[m] .. offset[m + 1] - 1``."""
        count = offset.diff()
        return Segments(offset[:-1], count, int(count.max()) if len(count) else 0)

    def __getitem__(self, index: Tensor | slice) -> Segments:
        return Segments(self.start[index], self.count[index], self.most)

    def gathered(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """``[M, most, ...]`` of ``values`` ``[all, ...]``, and which of them exist; the rest are any graph's."""
        step = torch.arange(self.most, device=self.count.device)
        places = (self.start[:, None] + step).clamp_max(max(len(values) - 1, 0))
        return values[places], step < self.count[:, None]

    def to(self, device: torch.device | str) -> Segments:
        return Segments(self.start.to(device), self.count.to(device), self.most)


@dataclass(frozen=True)
class RaggedGraphs:
    """Graphs whose features are classes; taking some gives a :class:`Structure` padded to ``size`` nodes.

    Node scalars are one-hot classes, edge scalars are 1 and one-hot classes. ``node_ones`` ``[sum of nodes, F]`` and
    ``edge_ones`` ``[sum of edges, F']`` say, in uint8, which of the ``node_scalars`` and ``edge_scalars`` channels are
    one; ``edge_index`` ``[2, sum of edges]`` counts nodes within each graph. ``ranks`` are those of
    :class:`Structure`.
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
        """``node_classes`` and ``edge_classes`` say how many classes each column of features has.

        Raises :class:`tasks.sources.cache.DataError` for a graph above ``size`` nodes and a class beyond its number.
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

    def __len__(self) -> int:
        return len(self.nodes.count)

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

    def part(self, index: Tensor | slice) -> RaggedGraphs:
        """The store of the graphs at these places."""
        nodes, edges = self.nodes[index], self.edges[index]
        return replace(self, nodes=nodes, edges=edges, key=self.key[index], ranks=self.ranks[index])

    def keyed(self, first: int) -> RaggedGraphs:
        """The same graphs with keys that are higher by ``first``."""
        return replace(self, key=self.key + first)

    def first(self, size: int | None) -> RaggedGraphs:
        return self.part(slice(size))

    @property
    def outline(self) -> Structure:
        """Which nodes exist and nothing else, as far as permutations need to know a structure."""
        mask = torch.arange(self.size, device=self.nodes.count.device) < self.nodes.count[:, None]
        return Structure.build(mask, node_scalars=torch.zeros(*mask.shape, 0, dtype=self.dtype, device=mask.device))

    def acted(self, element: Element) -> Moved:
        """``rho_in(g) x`` with one element for each graph, computed for those that are taken."""
        return Moved(self, element)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> RaggedGraphs:
        moved = {
            item.name: getattr(self, item.name).to(device)
            for item in fields(self)
            if isinstance(getattr(self, item.name), Tensor | Segments)
        }
        return replace(self, dtype=dtype or self.dtype, **moved)


Stored = TypeVar("Stored", bound=Structure | RaggedGraphs)


@dataclass(frozen=True)
class Moved:
    """Stored graphs, each moved by its own group element when it is taken."""

    graphs: RaggedGraphs
    element: Element

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index: Tensor | slice) -> Structure:
        return self.graphs[index].acted(self.element[index])

    @property
    def outline(self) -> Structure:
        return self.graphs.outline  # permutations leave absent nodes where they are


@dataclass(frozen=True)
class RaggedPairs:
    """Labels of some pairs of nodes of each graph; taking some gives ``[B, N, N, 1]``.

    -1 stands where a pair has no label, -2 where it does not exist. ``index`` ``[2, sum of pairs]`` counts nodes
    within each graph, ``label`` ``[sum of pairs]`` holds small integers.
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
        return replace(self, node_counts=self.node_counts[:size], pairs=self.pairs[:size])

    @property
    def device(self) -> torch.device:
        return self.label.device

    def to(self, device: torch.device | str, dtype: torch.dtype) -> RaggedPairs:
        return replace(
            self,
            node_counts=self.node_counts.to(device),
            pairs=self.pairs.to(device),
            index=self.index.to(device),
            label=self.label.to(device),
            dtype=dtype,
        )


def channels(features: NDArray[np.uint8], classes: Sequence[int], first: int) -> NDArray[np.uint8]:
    """``[R, F]``: the channel of each class in ``features`` ``[R, F]`` where a column's classes follow the last one's.

    The first column's begin at channel ``first``.
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
    """``[..., width]``: zeros, and ones at the channels ``ones`` ``[..., F]``."""
    return torch.zeros(*ones.shape[:-1], width, dtype=dtype, device=ones.device).scatter_(-1, ones.long(), 1)


def laid_out(values: Tensor, ends: Tensor, exist: Tensor, size: int, fill: float) -> Tensor:
    """``[B, size, size, C]``: ``values`` ``[B, E, C]`` of those pairs ``ends`` ``[B, E, 2]`` that exist, else ``fill``.

    Pairs that do not exist all go to one place beyond the last, which is cut off.
    """
    source, target = ends.long().unbind(-1)
    places = torch.where(exist, source * size + target, size * size)
    batch = torch.arange(len(values), device=values.device)[:, None]
    flat = values.new_full((len(values), size * size + 1, values.shape[-1]), fill)
    flat[batch, places] = values
    return flat[:, :-1].unflatten(1, (size, size)).contiguous()
