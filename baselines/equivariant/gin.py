"""The graph isomorphism network (Xu et al. 2019) on PyG's dense layer."""

from __future__ import annotations

import torch
from torch import nn
from torch_geometric.nn import DenseGINConv

from baselines.catalogue.shared import GraphNetworkSettings
from baselines.equivariant.message_passing import MessagePassingNetwork
from tasks.symmetry.structure import Signature


class GIN(MessagePassingNetwork):
    """GIN layers of one linear map each, with trained eps, initialised uniformly on [0, 1) (Kim et al. 2023)."""

    def __init__(self, signature: Signature, settings: GraphNetworkSettings) -> None:
        width = settings.width
        super().__init__(
            signature,
            settings,
            lambda channels: DenseGINConv(nn.Linear(channels, width), eps=torch.rand(()).item(), train_eps=True),
        )
