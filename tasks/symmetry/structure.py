"""One padded batch of relational data, and the action of a group element on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from tasks.symmetry.representation import Representation

if TYPE_CHECKING:
    from tasks.symmetry.element import Element


class Structures(Protocol):
    """Structures that are taken by their places: a batch of them, or a store that pads what is taken."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor | slice, /) -> Structure: ...

    @property
    def outline(self) -> Structure:
        """What group elements are drawn for: the mask at least."""
        ...


@dataclass(frozen=True)
class Structure:
    """Node scalars ``[B, N, C]``, points ``[B, N, D, P]``, vectors ``[B, N, D, V]``, edge scalars ``[B, N, N, E]``.

    ``mask`` is ``[B, N]``, true for nodes that exist; these come first. Absent nodes and their edges are zero
    everywhere. A kind of data that a task does not have has zero channels. ``key`` ``[B]``, int64, says which example
    of its data set each structure is; what a group element makes of a structure has the same key. ``ranks``
    ``[B, N, 0 or 1]`` are those of the nodes in a frame of S_n, where they were computed beforehand: they belong to
    the structure as it is, and nothing that is made of it has any.
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
        """A structure of the data at hand, with zero channels for the rest."""
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
        """``[B]``: the number of nodes of each structure, padding excluded."""
        return self.mask.sum(1)

    @property
    def pair_mask(self) -> Tensor:
        """``[B, N, N]``, true for ordered pairs of nodes that exist."""
        return self.mask[:, :, None] & self.mask[:, None]

    @property
    def adjacency(self) -> Tensor:
        """``[B, N, N]``: the weight of every edge, zero where there is none.

        The weight is the edge's only scalar. Where edges have several, these are attributes, and an edge weighs 1.
        """
        if self.edge_scalars.shape[-1] == 1:
            return self.edge_scalars[..., 0]
        return (self.edge_scalars != 0).any(-1).to(self.edge_scalars.dtype)

    @property
    def centroid(self) -> Tensor:
        """``[B, D]``: the mean of all points of the nodes that exist."""
        weight = self.mask[..., None].to(self.points.dtype)
        return (self.points.mean(-1) * weight).sum(1) / weight.sum(1)

    @property
    def coordinates(self) -> Tensor:
        """``[B, N, D, P + V]``: points beside vectors, as they are."""
        return torch.cat([self.points, self.vectors], -1)

    @property
    def geometry(self) -> Tensor:
        """``[B, N, D, P + V]``: points relative to the centroid beside vectors, zero where there is no node."""
        centred = (self.points - self.centroid[:, None, :, None]) * self.mask[..., None, None]
        return torch.cat([centred, self.vectors], -1)

    def __getitem__(self, index: Tensor | slice) -> Structure:
        """The structures at these places of the batch."""
        return Structure(*(getattr(self, item.name)[index] for item in fields(self)))

    def first(self, size: int | None) -> Structure:
        """The first ``size`` structures (``None``: all)."""
        return self[:size]

    @property
    def outline(self) -> Structure:
        """The structures themselves."""
        return self

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Structure:
        """Moved to a device; ``dtype`` converts what is not whole numbers or truth values."""
        moved = {item.name: getattr(self, item.name).to(device) for item in fields(self)}
        return Structure(
            **{name: value.to(dtype) if dtype and value.is_floating_point() else value for name, value in moved.items()}
        )

    def unprepared(self) -> Structure:
        """The same structures without what was computed beforehand."""
        return replace(self, ranks=self.ranks[..., :0])

    def keyed(self, first: int) -> Structure:
        """The same structures with keys that are higher by ``first``."""
        return replace(self, key=self.key + first)

    @staticmethod
    def cat(structures: Sequence[Structure]) -> Structure:
        """One batch of several with the same padding."""
        return Structure(*(torch.cat([getattr(s, item.name) for s in structures]) for item in fields(Structure)))

    def padded(self, nodes: int) -> Structure:
        """The same structures with absent nodes appended up to ``nodes``."""
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
        """Every structure ``samples`` times: a batch of ``B * K``."""
        return Structure(*(getattr(self, item.name).repeat_interleave(samples, 0) for item in fields(self)))

    def acted(self, element: Element) -> Structure:
        """``rho_in(g) x`` for every one of the K elements of each structure: a batch of ``B * K`` structures."""
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
    """The shapes that a model reads and puts out: what a network is built for.

    ``padded`` says that structures may have absent nodes: without, a network need not look at the mask.
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
        """The signature of all that ``structures`` stand for: some are padded where any of them are."""
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

    @property
    def geometry(self) -> int:
        """Points and vectors of a node, counted together."""
        return self.points + self.vectors
