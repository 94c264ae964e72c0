"""A message-passing network on coordinates (Gilmer et al. 2017; Satorras et al. 2021, "GNN").

It is equivariant under permutations but not under rotations. With the published sizes it has 92,103 parameters on
n-body.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from baselines.bases.base_model import BaseModel
from baselines.catalogue.base_models import GNNSettings
from tasks.symmetry.structure import Signature, Structure


def all_pairs(h: Tensor) -> Tensor:
    """The concatenated features of nodes i and j, ``[B, N, N, 2 C]``, for node features ``[B, N, C]``."""
    shape = (*h.shape[:2], h.shape[1], h.shape[2])
    return torch.cat([h[:, :, None].expand(shape), h[:, None].expand(shape)], -1)


def distinct_pairs(x: Structure) -> Tensor:
    """One for every ordered pair of different existing nodes, otherwise zero, ``[B, N, N, 1]``."""
    different = ~torch.eye(x.nodes, dtype=torch.bool, device=x.mask.device)
    return (x.pair_mask & different)[..., None].to(x.points.dtype)


class MessagePassing(nn.Module):
    """An edge MLP on both ends and the edge, a sum over edges and a node MLP, optionally with a residual."""

    def __init__(self, width: int, edge_scalars: int, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.edge = nn.Sequential(
            nn.Linear(2 * width + edge_scalars, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.node = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, h: Tensor, x: Structure, pairs: Tensor) -> Tensor:
        first, *others = self.edge
        assert isinstance(first, nn.Linear)
        # The first map is linear in both ends and the edge, so it is applied to nodes instead of pairs.
        of_target, of_source, of_edge = first.weight.split([h.shape[-1], h.shape[-1], x.edge_scalars.shape[-1]], 1)
        ends = linear(h, of_target, first.bias)[:, :, None] + linear(h, of_source)[:, None]
        messages = ends + linear(x.edge_scalars, of_edge)
        for layer in others:
            messages = layer(messages)
        update = self.node(torch.cat([h, (messages * pairs).sum(2)], -1))
        return h + update if self.residual else update


class GNN(BaseModel):
    """Predicts points ``[B, N, D, 1]`` as displacements from the centroid."""

    def __init__(self, signature: Signature, settings: GNNSettings) -> None:
        super().__init__()
        width = settings.width
        channels = signature.node_scalars + signature.dimension * signature.geometry
        self.embed = nn.Linear(channels, width)
        self.layers = nn.ModuleList(MessagePassing(width, signature.edge_scalars) for _ in range(settings.layers))
        self.decode = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, signature.dimension))

    def forward(self, x: Structure) -> Tensor:
        h = self.embed(torch.cat([x.node_scalars, x.coordinates.mT.flatten(2)], -1))
        pairs = distinct_pairs(x)
        for layer in self.layers:
            h = layer(h, x, pairs)
        return self.decode(h)[..., None]

    def origin(self, x: Structure) -> Tensor:
        return x.centroid[:, None, :, None]
