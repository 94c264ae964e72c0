"""Graphs of many sizes stored end to end, padded when they are taken: dense edges of a whole data set fit nowhere."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import accumulate

import torch
from torch import Tensor

from tasks.symmetry.element import Element
from tasks.symmetry.structure import Structure


@dataclass(frozen=True)
class Segments:
    """Where each of M graphs lies in arrays stored end to end: ``start`` and ``count`` ``[M]``, int64."""

    start: Tensor
    count: Tensor

    @staticmethod
    def between(offset: Tensor) -> Segments:
        """From ``offset`` ``[M + 1]``: graph m lies at ``offset[m] .. offset[m + 1] - 1``."""
        return Segments(offset[:-1], offset.diff())

    def __getitem__(self, index: Tensor | slice) -> Segments:
        return Segments(self.start[index], self.count[index])

    @property
    def owners(self) -> Tensor:
        """``[sum of counts]``: for every item, whose it is."""
        return torch.arange(len(self.count), device=self.count.device).repeat_interleave(self.count)

    @property
    def places(self) -> Tensor:
        """``[sum of counts]``: the places of all items, one graph after the other."""
        before = self.count.cumsum(0) - self.count
        steps = torch.arange(int(self.count.sum()), device=self.count.device)
        return steps + (self.start - before).repeat_interleave(self.count)

    def to(self, device: torch.device | str) -> Segments:
        return Segments(self.start.to(device), self.count.to(device))


@dataclass(frozen=True)
class RaggedGraphs:
    """Graphs whose features are classes, held as small integers; taking some gives a :class:`Structure`.

    ``node_features`` ``[sum of nodes, F]`` and ``edge_features`` ``[sum of edges, F']`` hold a class in each column,
    ``node_classes`` and ``edge_classes`` how many there are; ``edge_index`` ``[2, sum of edges]`` counts nodes within
    each graph. Node scalars are the one-hot classes; edge scalars are 1 and the one-hot classes. Every graph is padded
    to ``size`` nodes.
    """

    size: int
    nodes: Segments
    edges: Segments
    node_features: Tensor
    edge_index: Tensor
    edge_features: Tensor
    node_classes: tuple[int, ...]
    edge_classes: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.nodes.count)

    def __getitem__(self, index: Tensor | slice) -> Structure:
        nodes, edges = self.nodes[index], self.edges[index]
        outline = self.part(index).outline
        of_nodes = one_hot(self.node_features[nodes.places], self.node_classes, self.dtype)
        node_scalars = of_nodes.new_zeros(*outline.mask.shape, of_nodes.shape[-1])
        node_scalars[outline.mask] = of_nodes
        of_edges = one_hot(self.edge_features[edges.places], self.edge_classes, self.dtype)
        of_edges = torch.cat([of_edges.new_ones(len(of_edges), 1), of_edges], -1)
        source, target = self.edge_index[:, edges.places].long()
        edge_scalars = of_edges.new_zeros(len(outline), self.size, self.size, of_edges.shape[-1])
        edge_scalars[edges.owners, source, target] = of_edges
        return Structure.build(outline.mask, node_scalars=node_scalars, edge_scalars=edge_scalars)

    def part(self, index: Tensor | slice) -> RaggedGraphs:
        """The store of the graphs at these places."""
        return replace(self, nodes=self.nodes[index], edges=self.edges[index])

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
    """A label for some pairs of nodes of each graph; taking some gives ``[B, N, N, 1]``, -1 where there is none.

    ``index`` ``[2, sum of pairs]`` counts nodes within each graph, ``label`` ``[sum of pairs]`` holds small integers.
    """

    size: int
    pairs: Segments
    index: Tensor
    label: Tensor
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.pairs.count)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        pairs = self.pairs[index]
        first, second = self.index[:, pairs.places].long()
        shape = (len(pairs.count), self.size, self.size, 1)
        labels = torch.full(shape, -1, dtype=self.dtype, device=self.label.device)
        labels[pairs.owners, first, second, 0] = self.label[pairs.places].to(self.dtype)
        return labels

    def first(self, size: int | None) -> RaggedPairs:
        return replace(self, pairs=self.pairs[:size])

    @property
    def device(self) -> torch.device:
        return self.label.device

    def to(self, device: torch.device | str, dtype: torch.dtype) -> RaggedPairs:
        return replace(
            self, pairs=self.pairs.to(device), index=self.index.to(device), label=self.label.to(device), dtype=dtype
        )


def one_hot(features: Tensor, classes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """``[R, sum of classes]`` from a class in each column of ``features`` ``[R, F]``."""
    first = torch.tensor([0, *accumulate(classes[:-1])][: len(classes)], dtype=torch.long, device=features.device)
    channels = features.long() + first
    return torch.zeros(len(features), sum(classes), dtype=dtype, device=features.device).scatter_(1, channels, 1)
