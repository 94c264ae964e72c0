"""Graph networks of PyG's dense convolutions: layers with an activation after each, and a head."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from baselines.bases.mlp import ACTIVATIONS, head
from baselines.catalogue.shared import GraphNetworkSettings
from baselines.readout import read_out
from tasks.symmetry.structure import Signature, Structure


class MessagePassingNetwork(nn.Module):
    """Convolutions of ``width`` channels, and a head for scalars of graphs, nodes or pairs of nodes.

    Args:
        signature: The shapes of inputs and outputs.
        settings: The sizes of the network.
        convolution: Makes a layer for a number of input channels. The layer takes node features ``[B, N, C]``, edge
            weights ``[B, N, N]``, the mask and whether to add self-loops, and returns zero for absent nodes.
        loops: Adds self-loops of weight 1 once here instead of in every layer.
    """

    def __init__(
        self,
        signature: Signature,
        settings: GraphNetworkSettings,
        convolution: Callable[[int], nn.Module],
        loops: bool = False,
    ) -> None:
        super().__init__()
        width = settings.width
        self.output, self.loops = signature.output, loops
        inputs = [signature.node_scalars, *[width] * (settings.layers - 1)]
        self.convolutions = nn.ModuleList(convolution(channels) for channels in inputs)
        self.activation = ACTIVATIONS[settings.activation]()
        self.head = head(width, signature, settings)

    def forward(self, x: Structure) -> Tensor:
        h, adjacency = x.node_scalars, x.adjacency
        if self.loops:
            adjacency = torch.where(torch.eye(x.nodes, dtype=torch.bool, device=h.device), 1.0, adjacency)
        for convolution in self.convolutions:
            h = self.activation(convolution(h, adjacency, x.mask, not self.loops))
        return read_out(h, x, self.output, self.head)
