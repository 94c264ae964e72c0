"""Networks q for S_n that are no graph networks, to study how expressive q must be.

As :class:`~baselines.q_networks.gin.GINScorer` they map a structure and noise ``[B, K, N, C]`` on its node scalars to
scores ``[B, K, N]``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from baselines.limits import SCORER_HEADS as HEADS
from tasks.symmetry.structure import Structure


class DeepSetsScorer(nn.Module):
    """Scores from node features and their mean over all nodes, without edges (Zaheer et al. 2017)."""

    def __init__(self, channels: int, width: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.layers = nn.ModuleList(SetLayer(width, dropout) for _ in range(layers))
        self.head = nn.Linear(width, 1)

    def forward(self, x: Structure, noise: Tensor) -> Tensor:
        h = self.embed(x.node_scalars[:, None] + noise)
        keep = x.mask[:, None, :, None].to(h.dtype)
        for layer in self.layers:
            h = layer(h, keep)
        return self.head(h).squeeze(-1)


class SetLayer(nn.Module):
    """A linear map of every node and one of the mean over existing nodes, ReLU and dropout, on ``[B, K, N, W]``."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.mean = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, keep: Tensor) -> Tensor:
        mean = (h * keep).sum(2, keepdim=True) / keep.sum(2, keepdim=True)
        return self.dropout((self.own(h) + self.mean(mean)).relu())


class TransformerScorer(nn.Module):
    """Scores from a pre-norm encoder on nodes without position embeddings, with edges as a bias on attention."""

    def __init__(self, channels: int, width: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % HEADS:
            raise ValueError(f"a transformer as q has {HEADS} heads: its width must be a multiple of that, not {width}")
        self.embed = nn.Linear(channels, width)
        self.layers = nn.ModuleList(BiasedEncoderLayer(width, dropout) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(self, x: Structure, noise: Tensor) -> Tensor:
        h = self.embed(x.node_scalars[:, None] + noise)
        for layer in self.layers:
            h = layer(h, x.adjacency, x.mask)
        return self.head(h).squeeze(-1)


class BiasedEncoderLayer(nn.Module):
    """Self-attention over nodes and a feed-forward network with dropout.

    A learned multiple of the adjacency is added to the logits of each head.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.edge_bias = nn.Parameter(torch.randn(HEADS))
        self.mix = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.Dropout(dropout)
        )

    def forward(self, h: Tensor, adjacency: Tensor, mask: Tensor) -> Tensor:
        """Applies the layer.

        Args:
            h: Node features, ``[B, K, N, W]``.
            adjacency: ``[B, N, N]``.
            mask: True for nodes that exist, ``[B, N]``.
        """
        bias = self.edge_bias[:, None, None] * adjacency[:, None, None]  # [B, 1, heads, N, N]
        bias = bias.masked_fill(~mask[:, None, None, None], -torch.inf)
        query, key, value = self.project(self.attention_norm(h)).unflatten(-1, (3, HEADS, -1)).permute(3, 0, 1, 4, 2, 5)
        bias = bias.expand(-1, h.shape[1], -1, -1, -1)
        attended = scaled_dot_product_attention(query, key, value, attn_mask=bias)
        h = h + self.mix(attended.transpose(2, 3).flatten(3))
        return h + self.feed_forward(h)
