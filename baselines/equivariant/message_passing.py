"""What graph networks of PyG's dense convolutions share: layers with an activation behind each, and a head."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from baselines.bases.mlp import ACTIVATIONS, head
from baselines.catalogue.shared import GraphNetworkSettings
from baselines.readout import read_out
from tasks.symmetry.structure import Signature, Structure


class MessagePassingNetwork(nn.Module):
    """``layers`` convolutions of ``width`` channels, and a head on their sum, on nodes or on pairs of nodes.

    ``convolution`` makes a layer for a number of input channels; it takes node features ``[B, N, C]``, weights of edges
    ``[B, N, N]``, the mask and whether to add the node's own features, and leaves absent nodes zero. With ``loops``
    these come by an edge of weight 1, which is set once: PyG's layers set it each, by index.
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
