"""The graph convolutional network (Kipf and Welling 2017) on PyG's dense layer."""

from __future__ import annotations

from torch_geometric.nn import DenseGCNConv

from baselines.catalogue.shared import GraphNetworkSettings
from baselines.equivariant.message_passing import MessagePassingNetwork
from tasks.symmetry.structure import Signature


class GCN(MessagePassingNetwork):
    """Layers D^-1/2 (A + I) D^-1/2 X W; a self-loop of the graph is not added a second time."""

    def __init__(self, signature: Signature, settings: GraphNetworkSettings) -> None:
        super().__init__(signature, settings, lambda channels: DenseGCNConv(channels, settings.width), loops=True)
