"""The gated graph convolutional network (Bresson and Laurent 2018) as benchmarked by Dwivedi et al. (2023).

PyG's ResGatedGraphConv does not update edge features, which this network does in every layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.bases.mlp import head
from baselines.catalogue.equivariant import GatedGCNSettings
from baselines.layers.edge_lists import EdgeLists
from baselines.readout import read_out
from tasks.symmetry.structure import Signature, Structure

GATE_FLOOR = 1e-6


class GatedLayer(nn.Module):
    """A gated convolution of nodes ``[R, W]`` and edges ``[E, W]``, with batch normalisation and residual connections.

    For an edge from j to i::

        e'_ij = A h_i + B h_j + C e_ij
        h'_i = U h_i + sum over j of sigmoid(e'_ij) * V h_j / (sum over j of sigmoid(e'_ij))
        h_i <- h_i + ReLU(BN(h'_i)),  e_ij <- e_ij + ReLU(BN(e'_ij))
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.heard = nn.Linear(width, width), nn.Linear(width, width)  # U, V
        self.target, self.source = nn.Linear(width, width), nn.Linear(width, width)  # A, B
        self.edge = nn.Linear(width, width)  # C
        self.node_norm, self.edge_norm = nn.BatchNorm1d(width), nn.BatchNorm1d(width)

    def forward(self, h: Tensor, e: Tensor, graph: EdgeLists) -> tuple[Tensor, Tensor]:
        source, target = graph.source, graph.target
        edges = target.spread(self.target(h)) + source.spread(self.source(h)) + self.edge(e)
        gates = edges.sigmoid()
        total = target.sums(gates)
        messages = target.sums(gates * source.spread(self.heard(h)))
        # Adding the floor would make equal nodes differ slightly by their degrees, which batch norms amplify.
        nodes = self.own(h) + messages / total.clamp_min(GATE_FLOOR)
        return h + torch.relu(self.node_norm(nodes)), e + torch.relu(self.edge_norm(edges))


class GatedGCN(nn.Module):
    """Linear maps of node and edge scalars to ``width`` channels, gated convolutions and a head."""

    def __init__(self, signature: Signature, settings: GatedGCNSettings) -> None:
        super().__init__()
        width = settings.width
        self.output = signature.output
        self.embed_nodes = nn.Linear(signature.node_scalars, width)
        self.embed_edges = nn.Linear(signature.edge_scalars, width)
        self.layers = nn.ModuleList(GatedLayer(width) for _ in range(settings.layers))
        self.head = head(width, signature, settings)

    def forward(self, x: Structure) -> Tensor:
        graph = EdgeLists.of(x)
        h, e = self.embed_nodes(graph.rows(x.node_scalars)), self.embed_edges(graph.edge_scalars)
        for layer in self.layers:
            h, e = layer(h, e, graph)
        return read_out(graph.padded(h), x, self.output, self.head)
