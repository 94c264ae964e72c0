"""Batches of graphs as PyG has them, as structures and back.

Attributes have these roles (:mod:`tasks.symmetry.roles`); others are not read:

====================  ======================================================
attribute             role
====================  ======================================================
``x``, ``z``          ``node_features``
``pos``               ``positions``
``vel``               ``vectors``
``edge_index``        ``adjacency``: 1 for each edge, at [target, source]
``edge_attr``,        ``edge_features``
``edge_weight``
====================  ======================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tasks.errors import SettingsError
from tasks.symmetry.representation import Representation
from tasks.symmetry.roles import ROLES, structure_of
from tasks.symmetry.structure import Structure

ATTRIBUTES = {
    "x": "node_features",
    "z": "node_features",
    "pos": "positions",
    "vel": "vectors",
    "edge_attr": "edge_features",
    "edge_weight": "edge_features",
}


@dataclass(frozen=True)
class Attribute:
    """An attribute of nodes or edges.

    Attributes:
        name: Its name in a batch.
        dtype: Its dtype. Whole numbers and booleans become floating point in a structure, and whole again.
        row: The shape of what one node or edge has.
    """

    name: str
    dtype: torch.dtype
    row: tuple[int, ...]

    @property
    def role(self) -> str:
        """The role of the attribute."""
        return ATTRIBUTES[self.name]

    @property
    def channels(self) -> int:
        """The number of channels that it takes in a structure."""
        axes = self.row[1:] if self.role in ("positions", "vectors") else self.row
        return axes[0] if axes else 1

    def cast(self, values: Tensor) -> Tensor:
        """Rows of channels in the shape and dtype of the attribute."""
        rows = values.reshape(len(values), *self.row)
        return rows if self.dtype.is_floating_point else rows.round().to(self.dtype)


@dataclass(frozen=True)
class GraphBatches:
    """Batches with the same attributes, which only differ in their graphs.

    Attributes:
        attributes: The attributes of nodes and edges.
        edges: Whether there is an ``edge_index``.
        nodes: The least N to pad to.
        dtype: The dtype of structures: that of the floating point attributes, or else torch's default.

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> path = Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> node = Data(x=torch.rand(1, 2), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> batch = Batch.from_data_list([path, node])
        >>> batches = GraphBatches.of(batch)
        >>> x = batches.structure(batch)
        >>> x.mask.tolist(), x.edge_scalars.shape
        ([[True, True, True], [True, False, False]], torch.Size([2, 3, 3, 1]))
        >>> batches.batch(x)
        DataBatch(x=[4, 2], edge_index=[2, 4], batch=[4], ptr=[3])
    """

    attributes: tuple[Attribute, ...]
    edges: bool
    nodes: int
    dtype: torch.dtype

    @staticmethod
    def of(batch: Any) -> GraphBatches:
        """What batches like this ``Batch`` or ``Data`` have.

        Raises:
            SettingsError: It is no such object, has nothing that a group acts on, or its attributes do not go together.
        """
        if not is_graph_data(batch):
            raise SettingsError(f"A Batch or Data of torch_geometric is expected, not {type(batch).__name__}.")
        found = {name: batch[name] for name in ATTRIBUTES if batch.get(name) is not None}
        edges = batch.get("edge_index") is not None
        if not found and not edges:
            raise SettingsError(f"The graphs have none of {', '.join([*ATTRIBUTES, 'edge_index'])}: give at least one.")
        for name, values in found.items():
            _check_rows(name, values)
        attributes = tuple(Attribute(name, values.dtype, tuple(values.shape[1:])) for name, values in found.items())
        floats = [attribute for attribute in attributes if attribute.dtype.is_floating_point]
        if other := next((one for one in floats if one.dtype != floats[0].dtype), None):
            raise SettingsError(
                f"'{other.name}' is {other.dtype} and '{floats[0].name}' {floats[0].dtype}: convert one."
            )
        _check_edges(batch)
        nodes = int(_graph_of_nodes(batch).bincount().max())
        return GraphBatches(attributes, edges, nodes, floats[0].dtype if floats else torch.get_default_dtype())

    def structure(self, batch: Any) -> Structure:
        """The structures of the graphs in a batch, padded to the largest of them.

        Raises:
            SettingsError: The attributes are not those of these batches, or do not go together; a graph has no nodes,
                or an edge twice.
        """
        from torch_geometric.utils import to_dense_adj, to_dense_batch

        self._check(batch)
        graph, graphs = _graph_of_nodes(batch), _number_of_graphs(batch)
        nodes = max(self.nodes, int(graph.bincount().max()))
        _, mask = to_dense_batch(graph, graph, max_num_nodes=nodes, batch_size=graphs)
        inputs = {"mask": mask}
        for role in ("node_features", "positions", "vectors"):
            if own := [a for a in self.attributes if a.role == role]:
                rows = torch.cat([self._channels(a, batch) for a in own], -1)
                inputs[role], _ = to_dense_batch(rows, graph, max_num_nodes=nodes, batch_size=graphs)
        if self.edges:
            own = [a for a in self.attributes if a.role == "edge_features"]
            ones = torch.ones(batch.edge_index.shape[1], 1, dtype=self.dtype, device=graph.device)
            rows = torch.cat([ones, *(self._channels(a, batch) for a in own)], -1)
            dense = to_dense_adj(batch.edge_index.flip(0), graph, rows, max_num_nodes=nodes, batch_size=graphs)
            if bool((dense[..., 0] > 1).any()):
                raise SettingsError("A graph has an edge twice: coalesce its edges, for example with coalesce().")
            inputs["edge_features"] = dense
        return structure_of(inputs)

    def batch(self, x: Structure) -> Any:
        """The batch of B graphs that structures are: the inverse of :meth:`structure`.

        Edges come in order of their graph, target and source. The batch has no list of its graphs, so that
        ``to_data_list`` does not work on it.
        """
        from torch_geometric.data import Batch

        counts = x.node_counts
        first = counts.cumsum(0) - counts
        own = {"node_features": x.node_scalars, "positions": x.points, "vectors": x.vectors}
        rows = {role: values[x.mask] for role, values in own.items()}
        index = None
        if self.edges:
            owner, target, source = (x.edge_scalars[..., 0] != 0).nonzero().unbind(1)
            index = torch.stack([source, target]) + first[owner]
            rows["edge_features"] = x.edge_scalars[owner, target, source, 1:]
        values: dict[str, Tensor] = {}
        for attribute in self.attributes:
            size = attribute.channels
            values[attribute.name] = attribute.cast(rows[attribute.role][..., :size])
            rows[attribute.role] = rows[attribute.role][..., size:]
        graph = torch.arange(len(x), device=counts.device).repeat_interleave(counts, output_size=int(counts.sum()))
        ptr = torch.cat([first, counts.sum()[None]])
        edge_index = {} if index is None else {"edge_index": index}
        return Batch(**values, **edge_index, batch=graph, ptr=ptr)

    def padded(self, rows: Tensor, role: str, x: Structure) -> Tensor:
        """An output for ``batch(x)``, with a row for each graph, node or edge, in the shape that ``role`` has.

        Raises:
            SettingsError: There are more or fewer rows than graphs, nodes or edges.
        """
        representation = ROLES[role].representation
        if representation is Representation.GRAPH_SCALARS:
            return rows
        exists = x.edge_scalars[..., 0] != 0 if representation is Representation.EDGE_SCALARS else x.mask
        if len(rows) != (count := int(exists.sum())):
            what = "edges" if representation is Representation.EDGE_SCALARS else "nodes"
            raise SettingsError(f"The output '{role}' has {len(rows)} rows, and the batch has {count} {what}.")
        return rows.new_zeros(*exists.shape, *rows.shape[1:]).index_put(exists.nonzero(as_tuple=True), rows)

    def rows(self, values: Tensor, role: str, batch: Any, x: Structure) -> Tensor:
        """The rows of an output ``values`` for the structures ``x`` of ``batch``, in the batch's own order."""
        representation = ROLES[role].representation
        if representation is Representation.GRAPH_SCALARS:
            return values
        if representation is not Representation.EDGE_SCALARS:
            return values[x.mask]
        graph = _graph_of_nodes(batch)
        first = x.node_counts.cumsum(0) - x.node_counts
        owner = graph[batch.edge_index[0]]
        source, target = batch.edge_index - first[owner]
        return values[owner, target, source]

    def _channels(self, attribute: Attribute, batch: Any) -> Tensor:
        values = batch[attribute.name].to(self.dtype)
        axes = 2 if attribute.role in ("positions", "vectors") else 1
        return values if values.dim() > axes else values[..., None]

    def _check(self, batch: Any) -> None:
        """Checks that a batch has these attributes and no others."""
        found = GraphBatches.of(batch)
        names = [[*(a.name for a in one.attributes), *(["edge_index"] if one.edges else [])] for one in (self, found)]
        if names[0] != names[1]:
            raise SettingsError(f"The graphs should have {', '.join(names[0])}, not {', '.join(names[1])}.")
        for own, other in zip(self.attributes, found.attributes, strict=True):
            if own != other:
                raise SettingsError(
                    f"The attribute '{own.name}' should have rows of shape {list(own.row)} and dtype {own.dtype}, "
                    f"not {list(other.row)} and {other.dtype}."
                )
            count = batch.edge_index.shape[1] if own.role == "edge_features" else len(_graph_of_nodes(batch))
            if len(batch[own.name]) != count:
                raise SettingsError(f"The attribute '{own.name}' has {len(batch[own.name])} rows instead of {count}.")


def is_graph_data(value: Any) -> bool:
    """Whether a value is a ``Batch`` or a ``Data`` of PyG."""
    try:
        from torch_geometric.data import Data
    except ImportError:
        return False
    return isinstance(value, Data)


def _graph_of_nodes(batch: Any) -> Tensor:
    """The graph of each node ``[R]``, which is 0 for a single graph."""
    if batch.get("batch") is not None:
        return batch.batch
    own = [batch[name] for name, role in ATTRIBUTES.items() if role != "edge_features" and batch.get(name) is not None]
    if "num_nodes" not in batch and not own:
        raise SettingsError("The number of nodes is not known from edges: set num_nodes.")
    count = batch.num_nodes if "num_nodes" in batch else len(own[0])
    return torch.zeros(count, dtype=torch.long, device=own[0].device if own else batch.edge_index.device)


def _number_of_graphs(batch: Any) -> int:
    return int(batch.num_graphs) if batch.get("ptr") is not None else int(_graph_of_nodes(batch).max()) + 1


def _check_rows(name: str, values: Any) -> None:
    if not isinstance(values, Tensor):
        raise SettingsError(f"The attribute '{name}' should be a tensor, not {type(values).__name__}.")
    axes = (2, 3) if ATTRIBUTES[name] in ("positions", "vectors") else (1, 2)
    if values.dim() not in axes or not all(values.shape[1:]):
        shape = "[R, D] or [R, D, C]" if axes == (2, 3) else "[R] or [R, C]"
        raise SettingsError(f"The attribute '{name}' should have the shape {shape}, not {list(values.shape)}.")


def _check_edges(batch: Any) -> None:
    """Checks that nodes are in order and that edges join nodes of the same graph."""
    graph, index = _graph_of_nodes(batch), batch.get("edge_index")
    if not len(graph):
        raise SettingsError("The batch has no nodes.")
    if bool((graph.diff() < 0).any()):
        raise SettingsError("The nodes of a batch should be in the order of their graphs.")
    if index is None:
        if name := next((name for name in ("edge_attr", "edge_weight") if batch.get(name) is not None), None):
            raise SettingsError(f"The graphs have '{name}' without edge_index.")
        return
    if not isinstance(index, Tensor) or index.dtype != torch.long or index.dim() != 2 or len(index) != 2:
        raise SettingsError("The attribute 'edge_index' should be an int64 tensor of shape [2, E].")
    if bool(((index < 0) | (index >= len(graph))).any()):
        raise SettingsError(f"The attribute 'edge_index' has a node that is not one of the {len(graph)} of the batch.")
    if bool((graph[index[0]] != graph[index[1]]).any()):
        raise SettingsError("The attribute 'edge_index' has an edge between two graphs.")
