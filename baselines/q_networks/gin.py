"""q for S_n: a graph isomorphism network that gives every node one score (Kim et al. 2023; Xu et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from baselines.layers.aggregation import Edges, aggregated
from baselines.layers.batch_norm import BatchNorm, Mask
from tasks.symmetry.dynamic_shapes import may_follow_data
from tasks.symmetry.structure import Structure


class GINScorer(nn.Module):
    """Scores ``[B, K, N]`` from node scalars with noise ``[B, K, N, C]`` added.

    A virtual node with a learned feature is joined to every node and to itself, receives no noise and is dropped at
    the end. All K samples of a graph are computed at once. Where shapes may follow the data only nodes that exist are
    computed, on one sparse adjacency of all graphs side by side; elsewhere every graph has its own dense one.

    With ``input_linear`` the first layer is preceded by a linear map to ``width``. With ``norm_padding`` the absent
    nodes of a batch, which start at zero and have no edges, count in the statistics of batch normalisation, as
    published: then scores depend in training on how far a batch is padded.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        layers: int,
        dropout: float = 0.0,
        input_linear: bool = True,
        norm_padding: bool = False,
    ) -> None:
        super().__init__()
        self.norm_padding = norm_padding
        self.virtual_node = nn.Parameter(torch.randn(channels))
        self.embed = nn.Linear(channels, width) if input_linear else nn.Identity()
        widths = [width if input_linear else channels, *[width] * layers]
        self.layers = nn.ModuleList(GINLayer(*pair) for pair in pairwise(widths))
        self.head = nn.Linear(widths[-1], 1)
        self.drops = dropout > 0
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Structure, noise: Tensor) -> Tensor:
        """Scores of absent nodes are zero."""
        counts_padding = self.norm_padding and self.training
        if may_follow_data(noise) and not (counts_padding and self.drops):  # dropout makes absent nodes differ
            return self._on_existing(x, noise, counts_padding)
        return self._on_all(x, noise, counts_padding) * x.mask[:, None]

    def _on_existing(self, x: Structure, noise: Tensor, counts_padding: bool) -> Tensor:
        """Rows ``[R, K, W]`` of the nodes that exist, each graph's virtual node behind them, graph by graph.

        The last row is one absent node that stands for all.
        """
        exist = pad(x.mask, (0, 1), value=True)
        batch, node = exist.nonzero(as_tuple=True)
        absent = x.mask.numel() - len(batch) + len(x) if counts_padding else 0
        real = (x.node_scalars[:, None] + noise).transpose(1, 2)
        features = torch.cat([real, real.new_zeros(len(x), 1, *real.shape[2:])], 1)[batch, node]
        features = torch.where((node == x.nodes)[:, None, None], self.virtual_node, features)
        h = self.embed(torch.cat([features, features.new_zeros(min(absent, 1), *features.shape[1:])]))
        edges = Edges.of(augmented_adjacency(x, exist), exist, isolated=min(absent, 1))

        def drop(rows: Tensor) -> Tensor:
            """The draws are those of :meth:`_on_all`: a seed in a stack has the dropout that it has alone."""
            if not (self.drops and self.training):
                return rows
            return rows * self.dropout(rows.new_ones(*exist.shape, *rows.shape[1:]))[batch, node]

        for layer in self.layers:
            h = layer(h, edges, drop, repeats=max(absent, 1))
        scores = h.new_zeros(*exist.shape, h.shape[1]).index_put((batch, node), self.head(h)[: len(batch), :, 0])
        return scores[:, :-1].transpose(1, 2)

    def _on_all(self, x: Structure, noise: Tensor, counts_padding: bool) -> Tensor:
        """Rows ``[B, N + 1, K, W]``, those of virtual nodes last; absent nodes start at zero."""
        real = ((x.node_scalars[:, None] + noise) * x.mask[:, None, :, None]).transpose(1, 2)
        virtual = self.virtual_node.expand(len(x), 1, noise.shape[1], -1)
        h = self.embed(torch.cat([real, virtual], 1))
        exist = pad(x.mask, (0, 1), value=True)
        counted = None if counts_padding else exist[..., None].expand(h.shape[:-1])
        adjacency = augmented_adjacency(x, exist)
        for layer in self.layers:
            h = layer(h, adjacency, self.dropout, counted)
        return self.head(h)[:, :-1, :, 0].transpose(1, 2)


def augmented_adjacency(x: Structure, exist: Tensor) -> Tensor:
    """``[B, N + 1, N + 1]``: with a virtual node, which is joined to those that ``exist`` ``[B, N + 1]``."""
    joined = exist.to(x.adjacency.dtype)
    return torch.cat([torch.cat([x.adjacency, joined[:, :-1, None]], 2), joined[:, None]], 1)


class GINLayer(nn.Module):
    """A x + (1 + eps) x, then Linear, BatchNorm, ReLU, dropout, Linear, BatchNorm, ReLU: ``[..., R, K, W]`` to W'.

    A dense ``adjacency`` is ``[..., R, R]``; ``mask`` ``[..., R, K]`` says which rows exist (``None``: all), and the
    last row stands for ``repeats``; ``drop`` is the dropout on rows.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.rand(()))
        self.mlp = nn.ModuleList([NormalisedLinear(channels, width), NormalisedLinear(width, width)])

    def forward(
        self,
        h: Tensor,
        adjacency: Tensor | Edges,
        drop: Callable[[Tensor], Tensor],
        mask: Mask = None,
        repeats: int = 1,
    ) -> Tensor:
        first, second = self.mlp
        return second(drop(first(aggregated(h, adjacency, self.eps), mask, repeats)), mask, repeats)


class NormalisedLinear(nn.Module):
    """Linear, BatchNorm, ReLU; in evaluation the first two are one affine map."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, width)
        self.norm = BatchNorm(width)

    def forward(self, h: Tensor, mask: Mask = None, repeats: int = 1) -> Tensor:
        if self.training:
            return self.norm(self.linear(h), mask, repeats).relu()  # in place it would copy: the norm gives a view
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None
        scale = self.norm.weight * (variance + self.norm.eps).rsqrt()
        bias = (self.linear.bias - mean) * scale + self.norm.bias
        return linear(h, self.linear.weight * scale[:, None], bias).relu_()

