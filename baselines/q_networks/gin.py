"""q for S_n: a graph isomorphism network that gives every node one score (Kim et al. 2023; Xu et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from baselines.layers.aggregation import aggregated
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
        """Rows ``[R, K, W]`` of the nodes that exist, of virtual nodes, and of one absent node that stands for all."""
        samples = noise.shape[1]
        batch, node = x.mask.nonzero(as_tuple=True)
        absent = x.mask.numel() - len(batch) if counts_padding else 0
        real = x.node_scalars[batch, node][:, None] + noise[batch, :, node]
        virtual = self.virtual_node.expand(len(x), samples, -1)
        h = self.embed(torch.cat([real, virtual, real.new_zeros(min(absent, 1), *real.shape[1:])]))
        adjacency = augmented_adjacency(x, batch, node, len(h))

        def drop(rows: Tensor) -> Tensor:
            """The draws are those of :meth:`_on_all`: a seed in a stack has the dropout that it has alone."""
            if not (self.drops and self.training):
                return rows
            kept = self.dropout(rows.new_ones(len(x), x.nodes + 1, *rows.shape[1:]))
            return rows * torch.cat([kept[batch, node], kept[:, -1]])

        for layer in self.layers:
            h = layer(h, adjacency, drop, repeats=max(absent, 1))
        scores = noise.new_zeros(noise.shape[:3])
        return scores.index_put(
            (batch, torch.arange(samples, device=h.device)[:, None], node), self.head(h)[: len(batch), :, 0].T
        )

    def _on_all(self, x: Structure, noise: Tensor, counts_padding: bool) -> Tensor:
        """Rows ``[B, N + 1, K, W]``, those of virtual nodes last; absent nodes start at zero."""
        real = ((x.node_scalars[:, None] + noise) * x.mask[:, None, :, None]).transpose(1, 2)
        virtual = self.virtual_node.expand(len(x), 1, noise.shape[1], -1)
        h = self.embed(torch.cat([real, virtual], 1))
        exist = pad(x.mask, (0, 1), value=True)
        joined = exist.to(h.dtype)
        counted = None if counts_padding else exist[..., None].expand(h.shape[:-1])
        adjacency = torch.cat([torch.cat([x.adjacency, joined[:, :-1, None]], 2), joined[:, None]], 1)
        for layer in self.layers:
            h = layer(h, adjacency, self.dropout, counted)
        return self.head(h)[:, :-1, :, 0].transpose(1, 2)


class GINLayer(nn.Module):
    """A x + (1 + eps) x, then Linear, BatchNorm, ReLU, dropout, Linear, BatchNorm, ReLU: ``[..., R, K, W]`` to W'.

    ``adjacency`` is ``[..., R, R]``; ``mask`` ``[..., R, K]`` says which rows exist (``None``: all), and the last row
    stands for ``repeats``; ``drop`` is the dropout on rows.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.rand(()))
        self.mlp = nn.ModuleList([NormalisedLinear(channels, width), NormalisedLinear(width, width)])

    def forward(
        self, h: Tensor, adjacency: Tensor, drop: Callable[[Tensor], Tensor], mask: Mask = None, repeats: int = 1
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


def augmented_adjacency(x: Structure, batch: Tensor, node: Tensor, size: int) -> Tensor:
    """Sparse ``[size, size]`` adjacency of all graphs side by side: nodes that exist, then one virtual node a graph.

    ``batch`` and ``node`` ``[R]`` say where each node stands; rows behind the last virtual node have no edge.
    """
    real = len(batch)
    place = torch.full(x.mask.shape, -1, device=batch.device).index_put_(
        (batch, node), torch.arange(real, device=batch.device)
    )
    weights = x.adjacency
    graph, source, target = weights.nonzero(as_tuple=True)
    virtual = real + torch.arange(len(x), device=batch.device)
    own_virtual = virtual[batch]
    every = torch.arange(real, device=batch.device)
    rows = torch.cat([place[graph, source], own_virtual, every, virtual])
    columns = torch.cat([place[graph, target], every, own_virtual, virtual])
    values = torch.cat([weights[graph, source, target], weights.new_ones(len(rows) - len(graph))])
    return torch.sparse_coo_tensor(
        torch.stack([rows, columns]), values, (size, size), check_invariants=False
    ).coalesce()
