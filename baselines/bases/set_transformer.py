"""A transformer on nodes without position embeddings (Lee et al. 2019).

It is equivariant under permutations but not under rotations, since coordinates are features.
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

    Predicts graph scalars ``[B, C]`` from the mean and the maximum over existing nodes, node scalars ``[B, N, C]``, or
    points ``[B, N, D, 1]`` as displacements from the first input point.
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
