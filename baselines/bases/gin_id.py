"""GIN with node identifiers, which is more expressive but not invariant under changes of identifiers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from baselines.bases.base_model import BaseModel
from baselines.catalogue.shared import GraphNetworkSettings
from baselines.equivariant.gin import GIN
from baselines.layers.aggregation import Edges, aggregated
from baselines.readout import read_out
from tasks.symmetry.dynamic_shapes import may_follow_data
from tasks.symmetry.element import Element
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


@dataclass(frozen=True)
class Identified(Structure):
    """Structures with K assignments of identifiers to their nodes.

    Attributes:
        embedded: The first layer's linear map of the one-hot identifiers, ``[B, K, N, W]``.
    """

    embedded: Tensor


class GINID(BaseModel):
    """GIN on node scalars concatenated with a one-hot identifier (Murphy et al. 2019; Kim et al. 2023).

    GIN is equivariant under joint permutations of features, edges and identifiers. A group element therefore acts only
    on the identifiers, and features and edges are shared by all K samples. The output is the same, and so is the
    published gradient with respect to the element.
    """

    def __init__(self, signature: Signature, settings: GraphNetworkSettings) -> None:
        super().__init__()
        self.gin = GIN(replace(signature, node_scalars=signature.node_scalars + signature.nodes), settings)

    def pullback(self, x: Structure, element: Element) -> Identified:
        """The input with the image of each node under g^-1 as its identifier."""
        _, of_identifiers = self._first_weights(x)
        weights = of_identifiers.T * x.mask[..., None]  # absent nodes have no identifier
        embedded = element.act(weights[:, None], Representation.NODE_SCALARS)
        return Identified(**vars(x), embedded=embedded.expand(-1, element.samples, -1, -1))

    def forward(self, x: Structure) -> Tensor:
        """The output ``[B * K, ...]`` for the result of :meth:`pullback`.

        In training on a CPU it is computed for existing nodes only, with one sparse adjacency of all graphs.
        """
        assert isinstance(x, Identified)
        follows = torch.is_grad_enabled() and may_follow_data(x.embedded) and not torch.is_autocast_enabled("cpu")
        return self._on_existing(x) if follows else self._on_all(x)

    def pushforward(self, y: Tensor, element: Element, output: Representation) -> Tensor:
        """Returns ``y``: the output of GIN is already in the order of the input."""
        return y

    @property
    def _layers(self) -> list[Any]:
        """The layers of PyG, with attributes ``nn`` and ``eps``."""
        return list(self.gin.convolutions)

    def _first_weights(self, x: Structure) -> tuple[Tensor, Tensor]:
        """The first layer's weights for node scalars ``[W, C]`` and for identifiers ``[W, N]``."""
        weight: Tensor = self._layers[0].nn.weight
        of_scalars, of_identifiers = weight.split([x.node_scalars.shape[-1], x.nodes], 1)
        return of_scalars, of_identifiers

    def _on_all(self, x: Identified) -> Tensor:
        h = linear(x.node_scalars, self._first_weights(x)[0])[:, :, None] + x.embedded.transpose(1, 2)
        keep = x.mask[..., None, None]
        return self._read_out(self._convolved(h, x.adjacency, lambda rows: rows * keep), x)

    def _on_existing(self, x: Identified) -> Tensor:
        batch, node = x.mask.nonzero(as_tuple=True)
        place = batch * x.nodes + node
        embedded = x.embedded.transpose(1, 2).flatten(0, 1).index_select(0, place)
        h = linear(x.node_scalars[batch, node], self._first_weights(x)[0])[:, None] + embedded
        h = self._convolved(h, Edges.of(x.adjacency, x.mask), lambda rows: rows)
        if self.gin.output is Representation.GRAPH_SCALARS:
            return self.gin.head(h.new_zeros(len(x), *h.shape[1:]).index_add(0, batch, h).flatten(0, 1))
        padded = h.new_zeros(x.mask.numel(), *h.shape[1:]).index_add(0, place, h)
        return self._read_out(padded.unflatten(0, x.mask.shape), x)

    def _convolved(self, h: Tensor, adjacency: Tensor | Edges, existing: Callable[[Tensor], Tensor]) -> Tensor:
        """All layers on ``[..., R, K, W]``, after the first linear map, which commutes with sums."""
        first, *others = self._layers
        h = self.gin.activation(existing(aggregated(h, adjacency, first.eps) + first.nn.bias))
        for layer in others:
            h = self.gin.activation(existing(layer.nn(aggregated(h, adjacency, layer.eps))))
        return h

    def _read_out(self, h: Tensor, x: Identified) -> Tensor:
        """The output for features ``[B, N, K, W]``."""
        rows = h.transpose(1, 2).flatten(0, 1)
        copies = Structure.build(x.mask.repeat_interleave(h.shape[2], 0), node_scalars=rows)
        return read_out(rows, copies, self.gin.output, self.gin.head)
