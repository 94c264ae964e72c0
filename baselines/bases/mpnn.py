"""The message-passing network of the EGNN paper's n-body table (Satorras et al. 2021, "Graph Neural Network")."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.bases.gnn import MessagePassing, distinct_pairs
from baselines.catalogue.base_models import MPNNSettings
from tasks.symmetry.structure import Signature, Structure


class MPNN(BaseModel):
    """Predicts points ``[B, N, D, 1]`` from points and vectors in absolute coordinates.

    It reads the first ``edge_channels`` edge scalars (all if None). Every layer has a residual connection.
    """

    def __init__(self, signature: Signature, settings: MPNNSettings) -> None:
        super().__init__()
        width, self.edge_channels = settings.width, settings.edge_channels
        self.embed = nn.Linear(signature.node_scalars + signature.dimension * signature.geometry, width)
        edge_channels = len(range(signature.edge_scalars)[: self.edge_channels])
        self.layers = nn.ModuleList(MessagePassing(width, edge_channels, residual=True) for _ in range(settings.layers))
        self.decode = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, signature.dimension))

    def forward(self, x: Structure) -> Tensor:
        x = replace(x, edge_scalars=x.edge_scalars[..., : self.edge_channels])
        h = self.embed(torch.cat([x.node_scalars, torch.cat([x.points, x.vectors], -1).mT.flatten(2)], -1))
        pairs = distinct_pairs(x)
        for layer in self.layers:
            h = layer(h, x, pairs)
        return (self.decode(h) * x.mask[..., None])[..., None]
