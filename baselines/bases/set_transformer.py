"""A transformer whose tokens are nodes, without position embeddings: permutation equivariant (Lee et al. 2019).

Coordinates are plain numbers to it, so that it respects no rotation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.bases.mlp import perceptron
from baselines.bases.transformer import encoder
from baselines.catalogue.shared import AttentionSettings
from baselines.readout import first_point, mean_and_max, present
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


class SetTransformer(BaseModel):
    """Reads node scalars, points and vectors.

    Graph scalars ``[B, C]`` come from the mean and the maximum over the nodes that exist, node scalars ``[B, N, C]``
    from each node, and points ``[B, N, D, 1]`` are displacements from the first input point.
    """

    def __init__(self, signature: Signature, settings: AttentionSettings) -> None:
        super().__init__()
        width = settings.width
        self.output = signature.output
        self.padded = signature.padded
        self.embed = nn.Linear(signature.node_scalars + signature.dimension * signature.geometry, width)
        self.encoder = encoder(width, settings.layers, settings.heads, feed_forward=2 * width)
        pools = self.output is Representation.GRAPH_SCALARS
        channels = signature.dimension if self.output is Representation.NODE_POINTS else signature.output_channels
        self.head = perceptron([2 * width if pools else width, width, channels], "gelu")

    def forward(self, x: Structure) -> Tensor:
        features = torch.cat([x.node_scalars, x.coordinates.mT.flatten(2)], -1)
        h = self.encoder(self.embed(features), src_key_padding_mask=~x.mask if self.padded else None)
        if self.output is Representation.GRAPH_SCALARS:
            return self.head(mean_and_max(h, x))
        if self.output is Representation.NODE_POINTS:
            return self.head(h)[..., None]
        return present(self.head(h), x, self.output)

    def origin(self, x: Structure) -> Tensor | None:
        return first_point(x, self.output)
