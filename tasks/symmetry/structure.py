"""A padded batch of relational data, and the action of group elements on it."""

from __future__ import annotations

import typing
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tasks.symmetry.representation import Representation

if TYPE_CHECKING:
    from tasks.symmetry.element import Element


class Structures(typing.Protocol):
    """Structures that are indexed: a batch, or a store of graphs that pads those which are taken."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor | slice, /) -> Structure: ...

    @property
    def outline(self) -> Structure:
        """The structures as far as the noise of group elements needs them: at least the mask."""
        ...


@dataclass(frozen=True)
class Structure:
    """A batch of B structures, padded to N nodes in D dimensions.

    A kind of data that a task does not have has zero channels. Absent nodes and their edges are zero everywhere.

    Attributes:
        key: The example of its data set that each structure is, int64 ``[B]``. Group actions keep it.
        mask: True for nodes that exist, which come first, ``[B, N]``.
        node_scalars: ``[B, N, C]``.
        points: Positions, which translations move, ``[B, N, D, P]``.
        vectors: Directions, which translations leave unchanged, ``[B, N, D, V]``.
        edge_scalars: ``[B, N, N, E]``.
        ranks: The ranks of nodes in a frame of S_n if they were computed beforehand, int16 ``[B, N, 0 or 1]``. Group
            actions drop them.
    """

    key: Tensor
    mask: Tensor
    node_scalars: Tensor
    points: Tensor
    vectors: Tensor
    edge_scalars: Tensor
    ranks: Tensor

    @staticmethod
    def build(
        mask: Tensor,
        *,
        node_scalars: Tensor | None = None,
        points: Tensor | None = None,
        vectors: Tensor | None = None,
        edge_scalars: Tensor | None = None,
    ) -> Structure:
        """Builds a structure from the kinds of data that a task has; the others get zero channels.

        Args:
            mask: True for nodes that exist, ``[B, N]``.
            node_scalars: ``[B, N, C]``.
            points: ``[B, N, D, P]``.
            vectors: ``[B, N, D, V]``.
            edge_scalars: ``[B, N, N, E]``.

        Returns:
            The structure with keys 0 to B - 1.

        Example:
            Two structures of two and three points in the plane, padded to three nodes.

            >>> mask = torch.tensor([[True, True, False], [True, True, True]])
            >>> points = torch.ones(2, 3, 2, 1) * mask[..., None, None]
            >>> x = Structure.build(mask, points=points)
            >>> len(x), x.nodes
            (2, 3)
            >>> x.node_counts.tolist()
            [2, 3]
            >>> x.node_scalars.shape
            torch.Size([2, 3, 0])
        """
        batch, nodes = mask.shape
        given = next(values for values in (points, vectors, node_scalars, edge_scalars) if values is not None)
        dimension = next((values.shape[2] for values in (points, vectors) if values is not None), 0)
        empty = given.new_zeros

        def absent(*shape: int) -> Tensor:
            return empty((batch, nodes, *shape, 0))

        return Structure(
            key=torch.arange(batch, device=mask.device),
            mask=mask,
            node_scalars=absent() if node_scalars is None else node_scalars,
            points=absent(dimension) if points is None else points,
            vectors=absent(dimension) if vectors is None else vectors,
            edge_scalars=absent(nodes) if edge_scalars is None else edge_scalars,
            ranks=torch.zeros(batch, nodes, 0, dtype=torch.int16, device=mask.device),
        )

    def __len__(self) -> int:
        return self.mask.shape[0]

    @property
    def nodes(self) -> int:
        """N, padding included."""
        return self.mask.shape[1]

    @property
    def node_counts(self) -> Tensor:
        """The number of nodes of each structure ``[B]``, padding excluded."""
        return self.mask.sum(1)

    @property
    def pair_mask(self) -> Tensor:
        """True for ordered pairs of nodes that exist, ``[B, N, N]``."""
        return self.mask[:, :, None] & self.mask[:, None]

    @property
    def adjacency(self) -> Tensor:
        """The weight of every edge ``[B, N, N]``, zero if there is no edge.

        A single edge scalar is the weight. Several edge scalars are attributes, and every edge has weight 1.
        """
        if self.edge_scalars.shape[-1] == 1:
            return self.edge_scalars[..., 0]
        return (self.edge_scalars != 0).any(-1).to(self.edge_scalars.dtype)

    @property
    def centroid(self) -> Tensor:
        """The mean of all points of the nodes that exist, ``[B, D]``."""
        weight = self.mask[..., None].to(self.points.dtype)
        return (self.points.mean(-1) * weight).sum(1) / weight.sum(1)

    @property
    def coordinates(self) -> Tensor:
        """Points and vectors concatenated, ``[B, N, D, P + V]``."""
        return torch.cat([self.points, self.vectors], -1)

    @property
    def geometry(self) -> Tensor:
        """Points relative to the centroid, and vectors, ``[B, N, D, P + V]``; zero for absent nodes."""
        centred = (self.points - self.centroid[:, None, :, None]) * self.mask[..., None, None]
        return torch.cat([centred, self.vectors], -1)

    def __getitem__(self, index: Tensor | slice) -> Structure:
        """The structures at these indices of the batch."""
        return Structure(*(getattr(self, item.name)[index] for item in fields(self)))

    def first(self, size: int | None) -> Structure:
        """The first ``size`` structures, or all if it is None."""
        return self[:size]

    @property
    def outline(self) -> Structure:
        """The structures themselves."""
        return self

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Structure:
        """Moves all tensors to a device; ``dtype`` converts those of floating point."""
        moved = {item.name: getattr(self, item.name).to(device) for item in fields(self)}
        return Structure(
            **{name: value.to(dtype) if dtype and value.is_floating_point() else value for name, value in moved.items()}
        )

    def unprepared(self) -> Structure:
        """The structures without ``ranks``."""
        return replace(self, ranks=self.ranks[..., :0])

    def without(self, inputs: Collection[str]) -> Structure:
        """The structures without these inputs (:data:`tasks.cards.Input`): zero channels of them."""
        return replace(self, **{name: getattr(self, name)[..., :0] for name in map(_field, inputs)})

    def keyed(self, first: int) -> Structure:
        """The structures with ``first`` added to their keys."""
        return replace(self, key=self.key + first)

    @staticmethod
    def cat(structures: Sequence[Structure]) -> Structure:
        """Concatenates batches that have the same padding."""
        return Structure(*(torch.cat([getattr(s, item.name) for s in structures]) for item in fields(Structure)))

    def padded(self, nodes: int) -> Structure:
        """The structures with absent nodes appended, so that N is ``nodes``."""
        extra = nodes - self.nodes

        def pad(values: Tensor, axes: Sequence[int]) -> Tensor:
            for axis in axes:
                shape = list(values.shape)
                shape[axis] = extra
                values = torch.cat([values, values.new_zeros(shape)], axis)
            return values

        return Structure(
            key=self.key,
            mask=pad(self.mask, [1]),
            node_scalars=pad(self.node_scalars, [1]),
            points=pad(self.points, [1]),
            vectors=pad(self.vectors, [1]),
            edge_scalars=pad(self.edge_scalars, [1, 2]),
            ranks=pad(self.ranks, [1]),
        )

    def repeated(self, samples: int) -> Structure:
        """Repeats every structure K = ``samples`` times: a batch of B * K structures."""
        return Structure(*(getattr(self, item.name).repeat_interleave(samples, 0) for item in fields(self)))

    def acted(self, element: Element) -> Structure:
        """The action rho_in(g) x of the K elements of each structure: a batch of B * K structures."""
        samples = element.samples
        keep = self.mask[:, None, :, None, None]

        def act(values: Tensor, representation: Representation) -> Tensor:
            if values.shape[-1] == 0:
                return values.repeat_interleave(samples, 0)
            moved = element.act(values[:, None], representation)
            if representation is Representation.NODE_POINTS:
                moved = moved * keep
            return moved.expand(-1, samples, *moved.shape[2:]).flatten(0, 1)

        return Structure(
            key=self.key.repeat_interleave(samples),
            mask=self.mask.repeat_interleave(samples, 0),
            node_scalars=act(self.node_scalars, Representation.NODE_SCALARS),
            points=act(self.points, Representation.NODE_POINTS),
            vectors=act(self.vectors, Representation.NODE_VECTORS),
            edge_scalars=act(self.edge_scalars, Representation.EDGE_SCALARS),
            ranks=self.ranks[..., :0].repeat_interleave(samples, 0),
        )


@dataclass(frozen=True)
class Signature:
    """The shapes of a model's inputs and outputs.

    Attributes:
        nodes: N, padding included.
        node_scalars: C, channels of node scalars.
        points: P, points of each node.
        vectors: V, vectors of each node.
        edge_scalars: E, channels of edge scalars.
        dimension: D, the dimension of space.
        output: How the output transforms.
        output_channels: Channels of the output.
        padded: True if structures may have absent nodes; otherwise a network can ignore the mask.
    """

    nodes: int
    node_scalars: int
    points: int
    vectors: int
    edge_scalars: int
    dimension: int
    output: Representation
    output_channels: int
    padded: bool = True

    @staticmethod
    def of(structures: Structures, output: Representation, output_channels: int) -> Signature:
        """The signature of ``structures`` with this output; it is ``padded`` if any of them has an absent node."""
        structure = structures[:1]
        return Signature(
            nodes=structure.nodes,
            node_scalars=structure.node_scalars.shape[-1],
            points=structure.points.shape[-1],
            vectors=structure.vectors.shape[-1],
            edge_scalars=structure.edge_scalars.shape[-1],
            dimension=structure.points.shape[2],
            output=output,
            output_channels=output_channels,
            padded=not bool(structures.outline.mask.all()),
        )

    def without(self, inputs: Collection[str]) -> Signature:
        """The signature of structures without these inputs."""
        absent: dict[str, Any] = dict.fromkeys(map(_field, inputs), 0)
        return replace(self, **absent)

    @property
    def geometry(self) -> int:
        """P + V, the number of points and vectors of a node."""
        return self.points + self.vectors


def _field(name: str) -> str:
    """The field of structures and signatures that holds an input."""
    return "edge_scalars" if name == "edges" else name
