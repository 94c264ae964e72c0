"""Reads graphs in the form of PyG and stores them end to end. Every error names the graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tasks.cards import Input
from tasks.errors import DataError
from tasks.ragged import RaggedStructures, Segments

REPAIR = "repair it or leave it out"


@dataclass(frozen=True)
class Graphs:
    """The graphs of a data set.

    Attributes:
        items: Objects with the attributes of ``torch_geometric.data.Data``.
        sizes: The number of graphs of each part by its name, which follow each other.
    """

    items: Sequence[Any]
    sizes: Mapping[str, int]

    @staticmethod
    def of(parts: Mapping[str, Any]) -> Graphs:
        """Lists the graphs of data sets, or of functions that return one.

        Args:
            parts: By their names in messages, which follow the index of a graph.

        Raises:
            DataError: A data set has no graphs, or a graph cannot be read.
        """
        listed = {name: _listed(part, f"Graph {{}}{name}") for name, part in parts.items()}
        sizes = {name: len(part) for name, part in listed.items()}
        return Graphs([graph for part in listed.values() for graph in part], sizes)

    def called(self, graph: int) -> str:
        """What a message calls the graph with this index."""
        for name, size in self.sizes.items():
            if graph < size:
                return f"Graph {graph}{name}"
            graph -= size
        raise IndexError(graph)

    @cached_property
    def counts(self) -> Tensor:
        """The number of nodes of each graph, int64 ``[M]``.

        Raises:
            DataError: A graph has no nodes or does not say how many.
        """
        counts = []
        for index, graph in enumerate(self.items):
            count = _node_count(graph)
            if count is None:
                raise DataError(f"{self.called(index)} has neither x nor pos nor num_nodes: set its num_nodes.")
            if not count:
                raise DataError(f"{self.called(index)} has no nodes: leave it out.")
            counts.append(count)
        return torch.tensor(counts)

    def values(self, name: str, get: Callable[[Any], Any] | None = None) -> list[Tensor] | None:
        """One value of every graph, or None if no graph has it.

        Args:
            name: The attribute, also for messages.
            get: Returns the value in place of the attribute.

        Raises:
            DataError: Some graphs have it and others do not, or it is no tensor.
        """
        found = [get(graph) if get else getattr(graph, name, None) for graph in self.items]
        missing = [value is None for value in found]
        if all(missing):
            return None
        if any(missing):
            index, other = missing.index(True), missing.index(False)
            has = f"which {self.called(other).lower()} has"
            raise DataError(f"{self.called(index)} has no {name}, {has}: all graphs or none need it.")
        return [self._tensor(index, name, value) for index, value in enumerate(found)]

    def _tensor(self, index: int, name: str, value: Any) -> Tensor:
        try:
            return torch.as_tensor(value).detach().cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"{self.called(index)} has {name} that is no tensor of numbers: {REPAIR}.") from error

    def joined(
        self,
        name: str,
        values: Sequence[Tensor],
        counts: Tensor,
        what: str,
        axes: Sequence[int],
        *,
        finite: bool = True,
    ) -> Tensor:
        """Concatenates values with a row for each node or edge.

        Args:
            name: What they are called in messages.
            values: ``[rows, ...]`` of each graph.
            counts: The number of rows that each graph needs, ``[M]``.
            what: What the rows are: "nodes" or "edges".
            axes: The numbers of axes that are accepted.
            finite: Whether values must be finite.

        Returns:
            ``[sum of rows, ...]``, single precision.

        Raises:
            DataError: A graph has another number of rows, another shape than the first, or values that are not finite.
        """
        for index, (value, count) in enumerate(zip(values, counts.tolist(), strict=True)):
            shape = list(value.shape)
            if value.dim() not in axes or len(value) != count:
                rows = f"[{count}]" if 1 in axes else f"[{count}, ...]"
                raise DataError(f"{self.called(index)} has {count} {what} and {name} of shape {shape}, not {rows}.")
            if value.shape[1:] != values[0].shape[1:]:
                other = f"{self.called(0).lower()} has {list(values[0].shape)}"
                raise DataError(f"{self.called(index)} has {name} of shape {shape}, where {other}: use one width.")
        found = torch.cat(list(values)).float()
        if finite:
            self.check_rows(found[:, None].isfinite().flatten(1).all(1), counts, name)
        return found

    def check_rows(self, right: Tensor, counts: Tensor, name: str, what: str = "that are not finite") -> None:
        """Raises :class:`DataError` for the first graph with a row that is not ``right`` ``[sum of counts]``."""
        if not right.all():
            row = int((~right).int().argmax())
            raise DataError(f"{self.called(int((counts.cumsum(0) <= row).sum()))} has {name} {what}: {REPAIR}.")


def _listed(dataset: Any, called: str) -> list[Any]:
    if callable(dataset) and not hasattr(dataset, "__getitem__"):  # Data can be called, and is no data set
        dataset = dataset()
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise DataError(f"A data set of type {type(dataset).__name__} has no graphs: give a list of Data or a Dataset.")
    graphs = []
    for index in range(len(dataset)):
        try:
            graphs.append(dataset[index])
        except Exception as error:  # a data set may raise any error
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            raise DataError(f"{called.format(index)} cannot be read ({why}): give a list of Data.") from error
        if hasattr(graphs[-1], "node_types"):
            raise DataError(f"{called.format(index)} has several types of nodes: convert it with to_homogeneous().")
        if not hasattr(graphs[-1], "edge_index"):
            kind = type(graphs[-1]).__name__
            raise DataError(f"{called.format(index)} is of type {kind}: give Data of torch_geometric.")
    if not graphs:
        raise DataError("The data set has no graphs: give at least one for each split.")
    return graphs


def _node_count(graph: Any) -> int | None:
    for name in ("x", "pos"):
        value = getattr(graph, name, None)
        if value is not None and getattr(value, "ndim", None):
            return len(value)
    return int(graph.num_nodes) if "num_nodes" in graph else None  # PyG would guess it from the edges


def inputs_of(graph: Any, vectors: str | None) -> frozenset[Input]:
    """The inputs that a graph has. Without features and geometry its nodes get a constant feature."""
    geometric: set[Input] = set()
    if getattr(graph, "pos", None) is not None:
        geometric.add("points")
    if vectors is not None:
        geometric.add("vectors")
    edges: set[Input] = set() if graph.edge_index is None else {"edges"}
    scalars: set[Input] = {"node_scalars"} if getattr(graph, "x", None) is not None or not geometric else set()
    return frozenset(geometric | edges | scalars)


def stored(graphs: Graphs, inputs: Collection[Input], vectors: str | None) -> RaggedStructures:
    """Stores the ``inputs`` of all graphs end to end.

    Node scalars are ``x``; points are ``pos``; vectors are the attribute that is called ``vectors``; edge scalars are 1
    and ``edge_attr``.

    Raises:
        DataError: A graph cannot be used, or has no such input.
    """
    counts = graphs.counts
    size, total = int(counts.max()), int(counts.sum())
    points = _geometry(graphs, "pos", "points" in inputs)
    directions = _geometry(graphs, vectors or "vectors", "vectors" in inputs)
    dimension = next((one.shape[1] for one in (points, directions) if one is not None), 0)
    if points is not None and directions is not None and directions.shape[1] != dimension:
        raise DataError(f"The pos of graphs are in R^{dimension} and their {vectors} in R^{directions.shape[1]}.")
    edge_index, edge_counts, edge_scalars = _edges(graphs, "edges" in inputs)
    empty = torch.zeros(total, dimension, 0)
    return RaggedStructures(
        size=size,
        nodes=Segments.between(offset_of(counts)),
        edges=Segments.between(offset_of(edge_counts)),
        edge_index=edge_index.to(torch.uint8 if size <= 256 else torch.int32),
        node_scalars=_node_scalars(graphs) if "node_scalars" in inputs else torch.zeros(total, 0),
        points=empty if points is None else points,
        vectors=empty if directions is None else directions,
        edge_scalars=edge_scalars,
        key=torch.arange(len(counts)),
        ranks=torch.zeros(len(counts), size, 0, dtype=torch.int16),
    )


def offset_of(counts: Tensor) -> Tensor:
    """The start of each segment with ``counts`` ``[M]`` items, and the end of the last, int64 ``[M + 1]``."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _node_scalars(graphs: Graphs) -> Tensor:
    values = graphs.values("x")
    if values is None:
        return torch.ones(int(graphs.counts.sum()), 1)
    found = graphs.joined("x", values, graphs.counts, "nodes", (1, 2))
    return found[:, None] if found.dim() == 1 else found


def _geometry(graphs: Graphs, name: str, wanted: bool) -> Tensor | None:
    """An attribute ``[sum of nodes, D, channels]``; None if it is not wanted."""
    if not wanted:
        return None
    values = graphs.values(name)
    if values is None:
        raise DataError(f"{graphs.called(0)} has no {name}: leave it out of the inputs.")
    found = graphs.joined(name, values, graphs.counts, "nodes", (2, 3))
    return found[..., None] if found.dim() == 2 else found


def _edges(graphs: Graphs, wanted: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Edges ``[2, sum of edges]``, their number in each graph ``[M]`` and their scalars ``[sum of edges, E]``."""
    if not wanted:
        return torch.zeros(2, 0, dtype=torch.long), torch.zeros_like(graphs.counts), torch.zeros(0, 0)
    values = graphs.values("edge_index")
    if values is None:
        raise DataError(f"{graphs.called(0)} has no edge_index: leave edges out of the inputs.")
    for index, edges in enumerate(values):
        if edges.dim() != 2 or len(edges) != 2 or (edges.is_floating_point() and edges.numel()):
            shape = f"{list(edges.shape)} and type {str(edges.dtype).removeprefix('torch.')}"
            raise DataError(f"{graphs.called(index)} has an edge_index of shape {shape}, not [2, edges] and int64.")
    counts, found = torch.tensor([edges.shape[1] for edges in values]), torch.cat([edges.long() for edges in values], 1)
    _check_edges(graphs, found, counts)
    ones, attributes = torch.ones(found.shape[1], 1), graphs.values("edge_attr")
    if attributes is None:
        return found, counts, ones
    columns = graphs.joined("edge_attr", attributes, counts, "edges", (1, 2))
    return found, counts, torch.cat([ones, columns[:, None] if columns.dim() == 1 else columns], 1)


def _check_edges(graphs: Graphs, edges: Tensor, counts: Tensor) -> None:
    """Raises :class:`DataError` for an edge to a node that is not there, and for one that is listed twice."""
    graph = torch.arange(len(counts)).repeat_interleave(counts)
    inside = ((edges >= 0) & (edges < graphs.counts[graph])).all(0)
    graphs.check_rows(inside, counts, "an edge", "to a node that it does not have")
    largest = int(graphs.counts.max())
    keys = ((graph * largest + edges[0]) * largest + edges[1]).sort().values
    twice = keys[1:][keys[1:] == keys[:-1]]
    if len(twice):
        index, pair = divmod(int(twice[0]), largest**2)
        edge = " -> ".join(map(str, divmod(pair, largest)))
        raise DataError(f"{graphs.called(index)} lists the edge {edge} twice: merge them with coalesce().")
