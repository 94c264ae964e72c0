"""The graph isomorphism network (Xu et al. 2019) on PyG's dense layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import DenseGINConv

from baselines.bases.mlp import ACTIVATIONS, perceptron
from baselines.readout import read_out
from tasks.symmetry.structure import Signature, Structure


class GIN(nn.Module):
    """``layers`` GIN layers of one linear map each, and a head on their sum, on nodes or on pairs of nodes.

    eps is trained and starts uniform on [0, 1) (Kim et al. 2023).
    """

    def __init__(self, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__()
        width = params["width"]
        self.output = signature.output
        inputs = [signature.node_scalars, *[width] * (params["layers"] - 1)]
        self.convolutions = nn.ModuleList(
            DenseGINConv(nn.Linear(channels, width), eps=torch.rand(()).item(), train_eps=True) for channels in inputs
        )
        self.activation = ACTIVATIONS[params["activation"]]()
        widths = [width, *params["head"], signature.output_channels]
        self.head = perceptron(widths, params["activation"], params["final_activation"])

    def forward(self, x: Structure) -> Tensor:
        h, adjacency = x.node_scalars, x.adjacency
        for convolution in self.convolutions:
            h = self.activation(convolution(h, adjacency, x.mask))
        return read_out(h, x, self.output, self.head)
