"""The graph attention network (Velickovic et al. 2018) on PyG's dense layer."""

from __future__ import annotations

from torch_geometric.nn import DenseGATConv

from baselines.catalogue.equivariant import GATSettings
from baselines.equivariant.message_passing import MessagePassingNetwork
from tasks.symmetry.structure import Signature


class GAT(MessagePassingNetwork):
    """Attention over a node's neighbours and itself, with heads concatenated to ``width``; ignores edge weights.

    Raises:
        ValueError: ``heads`` does not divide ``width``.
    """

    def __init__(self, signature: Signature, settings: GATSettings) -> None:
        width, heads = settings.width, settings.heads
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, unlike {width} and {heads}")
        size = width // heads
        super().__init__(signature, settings, lambda channels: DenseGATConv(channels, size, heads), loops=True)
