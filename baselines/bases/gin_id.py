"""GIN that also reads an identifier of each node: not invariant under changes of identifiers, and more expressive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from baselines.bases.base_model import BaseModel
from baselines.equivariant.gin import GIN
from tasks.symmetry.element import Element
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


class GINID(BaseModel):
    """GIN on node scalars beside a one-hot identifier (Murphy et al. 2019; Kim et al. 2023).

    GIN is equivariant under a permutation of features, edges and identifiers together, so that a group element need
    act on the identifiers alone: features and edges stay where they are. The value is the same; the gradient of the
    element is the published one, and no edge is permuted.
    """

    def __init__(self, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.gin = GIN(replace(signature, node_scalars=signature.node_scalars + signature.nodes), params)

    def forward(self, x: Structure) -> Tensor:
        """The last N node scalars are the identifiers, as :meth:`pullback` appends them."""
        return self.gin(x)

    def pullback(self, x: Structure, element: Element) -> Structure:
        """The input, K times, with the place that g^-1 takes each node to as its identifier."""
        samples = element.samples
        places = torch.eye(x.nodes, dtype=x.node_scalars.dtype, device=x.node_scalars.device) * x.mask[..., None]
        identifiers = element.act(places[:, None], Representation.NODE_SCALARS)
        repeated = x.repeated(samples)
        node_scalars = torch.cat([repeated.node_scalars, identifiers.expand(-1, samples, -1, -1).flatten(0, 1)], -1)
        return replace(repeated, node_scalars=node_scalars)

    def pushforward(self, y: Tensor, element: Element, output: Representation) -> Tensor:
        """What GIN puts out already stands in the order of the input."""
        return y
