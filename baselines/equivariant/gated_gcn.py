"""The gated graph convolutional network (Bresson and Laurent 2018; Dwivedi et al. 2023) on PyG's layer.

The benchmark's version also updates edge features from layer to layer and divides a node's gates by their sum; PyG's
layer reads the edges as they come and leaves the gates as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import ResGatedGraphConv

from baselines.bases.mlp import head
from baselines.layers.edge_lists import EdgeLists
from baselines.readout import read_out
from tasks.symmetry.structure import Signature, Structure


class GatedGCN(nn.Module):
    """``layers`` gated convolutions with batch normalisation, ReLU and a residual connection, and a head."""

    def __init__(self, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__()
        width, layers = params["width"], params["layers"]
        self.output = signature.output
        self.embed = nn.Linear(signature.node_scalars, width)
        self.convolutions = nn.ModuleList(
            ResGatedGraphConv(width, width, edge_dim=signature.edge_scalars) for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(layers))
        self.head = head(width, signature, params)

    def forward(self, x: Structure) -> Tensor:
        graph = EdgeLists.of(x)
        h = self.embed(graph.rows(x.node_scalars))
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            h = h + torch.relu(norm(convolution(h, graph.edge_index, graph.edge_scalars)))
        return read_out(graph.padded(h), x, self.output, self.head)
