"""Radial fields (Köhler et al. 2019) as an equivariant flow of points, with velocities (Satorras et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.bases.gnn import distinct_pairs
from baselines.bases.mlp import perceptron
from baselines.catalogue.equivariant import RadialFieldSettings
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


class RadialFieldLayer(nn.Module):
    """x_i + mean over j of (x_i - x_j) phi(|x_i - x_j|, e_ij) + v_i psi(|v_i|)."""

    def __init__(self, width: int, edge_scalars: int, moving: bool) -> None:
        super().__init__()
        step = nn.Linear(width, 1, bias=False)
        nn.init.xavier_uniform_(step.weight, gain=0.001)  # small initial steps
        # Satorras et al. end phi with a tanh, which keeps the flow stable.
        self.phi = nn.Sequential(nn.Linear(1 + edge_scalars, width), nn.SiLU(), step, nn.Tanh())
        self.psi = perceptron([1, width, 1], "silu") if moving else None

    def forward(self, position: Tensor, velocity: Tensor, x: Structure, pairs: Tensor) -> Tensor:
        difference = position[:, :, None] - position[:, None]
        distance = difference.norm(dim=-1, keepdim=True)
        moves = difference * self.phi(torch.cat([distance, x.edge_scalars], -1)) * pairs
        position = position + moves.sum(2) / pairs.sum(2).clamp_min(1)
        if self.psi is None:
            return position
        return position + velocity * self.psi(velocity.norm(dim=-1, keepdim=True))


class RadialField(nn.Module):
    """Moves the first point of every node, with the first vector as its velocity.

    Predicts points ``[B, N, D, 1]``, or graph scalars ``[B, C]`` as means over pairs of learned functions of the final
    distances.
    """

    def __init__(self, signature: Signature, settings: RadialFieldSettings) -> None:
        super().__init__()
        width = settings.width
        self.output = signature.output
        self.layers = nn.ModuleList(
            RadialFieldLayer(width, signature.edge_scalars, signature.vectors > 0) for _ in range(settings.layers)
        )
        if self.output is Representation.GRAPH_SCALARS:
            self.pair = perceptron([1, width, width], "silu", final_activation=True)
            self.head = perceptron([width, width, signature.output_channels], "silu")

    def forward(self, x: Structure) -> Tensor:
        position, velocity = x.points[..., 0], x.vectors[..., :1].sum(-1)
        pairs = distinct_pairs(x)
        for layer in self.layers:
            position = layer(position, velocity, x, pairs)
        if self.output is Representation.NODE_POINTS:
            return position[..., None]
        distance = (position[:, :, None] - position[:, None]).norm(dim=-1, keepdim=True)
        features = (self.pair(distance) * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)
        return self.head(features)
