"""q for S_n: a graph isomorphism network with a score for every node (Kim et al. 2023; Xu et al. 2019)."""

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

    A virtual node with a learned feature and no noise is connected to every node and to itself, and is dropped at the
    end. If shapes may depend on data, the network is computed for existing nodes only, with one sparse adjacency of all
    graphs; otherwise with a dense adjacency for each graph.

    Args:
        channels: C, the number of node scalars.
        width: Number of channels of every layer.
        layers: Number of layers.
        dropout: Dropout probability.
        input_linear: Adds a linear map to ``width`` before the first layer.
        norm_padding: Includes the absent nodes of a batch, which are zero and have no edges, in the statistics of batch
            normalisation, as published. Scores in training then depend on the padding of a batch.
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
        """The scores ``[B, K, N]``, zero for absent nodes."""
        counts_padding = self.norm_padding and self.training
        if may_follow_data(noise) and not (counts_padding and self.drops):  # with dropout absent nodes differ
            return self._on_existing(x, noise, counts_padding)
        return self._on_all(x, noise, counts_padding) * x.mask[:, None]

    def _on_existing(self, x: Structure, noise: Tensor, counts_padding: bool) -> Tensor:
        """Scores computed on rows ``[R, K, W]``: the existing nodes and the virtual node of each graph.

        With ``counts_padding`` a last row represents all absent nodes, which are equal.
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
            """Draws the same dropout as :meth:`_on_all`, so that it does not depend on the implementation."""
            if not (self.drops and self.training):
                return rows
            return rows * self.dropout(rows.new_ones(*exist.shape, *rows.shape[1:]))[batch, node]

        for layer in self.layers:
            h = layer(h, edges, drop, repeats=max(absent, 1))
        scores = h.new_zeros(*exist.shape, h.shape[1]).index_put((batch, node), self.head(h)[: len(batch), :, 0])
        return scores[:, :-1].transpose(1, 2)

    def _on_all(self, x: Structure, noise: Tensor, counts_padding: bool) -> Tensor:
        """Scores computed on rows ``[B, N + 1, K, W]``, with the virtual node last and zeros for absent nodes."""
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
    """The adjacency ``[B, N + 1, N + 1]`` with a virtual node, connected to the nodes that ``exist`` ``[B, N + 1]``."""
    joined = exist.to(x.adjacency.dtype)
    return torch.cat([torch.cat([x.adjacency, joined[:, :-1, None]], 2), joined[:, None]], 1)


class GINLayer(nn.Module):
    """A x + (1 + eps) x, followed by Linear, BatchNorm, ReLU, dropout, Linear, BatchNorm and ReLU."""

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
        """Applies the layer.

        Args:
            h: Node features ``[..., R, K, C]``.
            adjacency: Dense ``[..., R, R]`` or sparse.
            drop: The dropout on rows.
            mask: True for rows that exist, ``[..., R, K]``; None if all exist.
            repeats: How often the last row is counted in batch normalisation.

        Returns:
            ``[..., R, K, W]``.
        """
        first, second = self.mlp
        return second(drop(first(aggregated(h, adjacency, self.eps), mask, repeats)), mask, repeats)


class NormalisedLinear(nn.Module):
    """Linear, BatchNorm and ReLU, of which the first two are one affine map in evaluation."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, width)
        self.norm = BatchNorm(width)

    def forward(self, h: Tensor, mask: Mask = None, repeats: int = 1) -> Tensor:
        if self.training:
            return self.norm(self.linear(h), mask, repeats).relu()  # not in place: the norm returns a view
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None
        scale = self.norm.weight * (variance + self.norm.eps).rsqrt()
        bias = (self.linear.bias - mean) * scale + self.norm.bias
        return linear(h, self.linear.weight * scale[:, None], bias).relu_()
