"""E(n)-equivariant graph network with velocities (Satorras et al. 2021, equations 3 to 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.bases.gnn import all_pairs, distinct_pairs
from baselines.bases.mlp import perceptron
from baselines.catalogue.equivariant import EGNNSettings
from baselines.readout import mean_and_max
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


class EGNNLayer(nn.Module):
    """Updates features and positions by messages from features, squared distances and edge scalars."""

    def __init__(self, width: int, edge_scalars: int, moving: bool) -> None:
        super().__init__()
        self.edge = nn.Sequential(
            nn.Linear(2 * width + 1 + edge_scalars, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.node = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))
        step = nn.Linear(width, 1, bias=False)
        nn.init.xavier_uniform_(step.weight, gain=0.001)  # as in the authors' code: small initial steps
        self.position = nn.Sequential(nn.Linear(width, width), nn.SiLU(), step)
        self.velocity = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)) if moving else None

    def forward(
        self, h: Tensor, position: Tensor, velocity: Tensor, x: Structure, pairs: Tensor
    ) -> tuple[Tensor, Tensor]:
        difference = position[:, :, None] - position[:, None]
        squared = difference.square().sum(-1, keepdim=True)
        messages = self.edge(torch.cat([all_pairs(h), squared, x.edge_scalars], -1)) * pairs
        moves = difference * self.position(messages) * pairs
        position = position + moves.sum(2) / pairs.sum(2).clamp_min(1)
        if self.velocity is not None:
            position = position + self.velocity(h) * velocity
        return h + self.node(torch.cat([h, messages.sum(2)], -1)), position


class EGNN(nn.Module):
    """Reads the first point of every node, the first vector as its velocity, and edge scalars.

    The input feature of a node is its speed, as in the authors' n-body experiment, or without velocities its distance
    from the centroid. Predicts points ``[B, N, D, 1]``, or graph scalars ``[B, C]`` from the mean and the maximum of
    the features.
    """

    def __init__(self, signature: Signature, settings: EGNNSettings) -> None:
        super().__init__()
        width = settings.width
        self.output = signature.output
        self.moving = signature.vectors > 0
        self.embed = nn.Linear(1 + signature.node_scalars, width)
        self.layers = nn.ModuleList(
            EGNNLayer(width, signature.edge_scalars, self.moving) for _ in range(settings.layers)
        )
        if self.output is Representation.GRAPH_SCALARS:
            self.head = perceptron([2 * width, width, signature.output_channels], "silu")

    def forward(self, x: Structure) -> Tensor:
        position, velocity = x.points[..., 0], x.vectors[..., :1].sum(-1)
        size = velocity if self.moving else position - x.centroid[:, None]
        h = self.embed(torch.cat([size.norm(dim=-1, keepdim=True), x.node_scalars], -1))
        pairs = distinct_pairs(x)
        for layer in self.layers:
            h, position = layer(h, position, velocity, x, pairs)
        if self.output is Representation.GRAPH_SCALARS:
            return self.head(mean_and_max(h, x))
        return position[..., None]
