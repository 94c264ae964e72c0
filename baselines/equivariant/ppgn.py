"""Provably powerful graph networks (Maron et al. 2019), which distinguish the same graphs as 3-WL."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.bases.mlp import head, perceptron
from baselines.catalogue.equivariant import PPGNSettings
from baselines.readout import present
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure


class PPGN(nn.Module):
    """Blocks on features of ordered pairs ``[B, N, N, C]``, and a head on features from all blocks.

    The input features of a pair are its edge scalars, with node scalars on the diagonal. The head for a graph reads
    sums over nodes and over pairs of distinct nodes; for a node, its diagonal entry and the sum over its other pairs;
    for a pair, its features (Maron et al., section 6, with features from each block as in their implementation).
    """

    def __init__(self, signature: Signature, settings: PPGNSettings) -> None:
        super().__init__()
        width, layers = settings.width, settings.layers
        self.output = signature.output
        inputs = [signature.edge_scalars + signature.node_scalars, *[width] * (layers - 1)]
        self.blocks = nn.ModuleList(Block(channels, width, settings.depth) for channels in inputs)
        read = width if signature.output is Representation.EDGE_SCALARS else 2 * width
        self.head = head(layers * read, signature, settings)

    def forward(self, x: Structure) -> Tensor:
        pairs = x.pair_mask[..., None].to(x.node_scalars.dtype)
        h = torch.cat([x.edge_scalars, x.node_scalars.mT.diag_embed().movedim(1, -1)], -1)
        features = []
        for block in self.blocks:
            h = block(h, pairs)
            features.append(self._read(h))
        return present(self.head(torch.cat(features, -1)), x, self.output)

    def _read(self, h: Tensor) -> Tensor:
        if self.output is Representation.EDGE_SCALARS:
            return h
        own = h.diagonal(dim1=1, dim2=2).mT
        nodes = torch.cat([own, h.sum(2) - own], -1)
        return nodes if self.output is Representation.NODE_SCALARS else nodes.sum(1)


class Block(nn.Module):
    """m3([X, m1(X) m2(X)]), with a matrix product for each channel, on existing pairs.

    Initial weights are Xavier normal and initial biases zero, as in the authors' implementation. With random biases the
    products would add large constants to every pair, which hide the differences of graphs.
    """

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.left = perceptron([channels, *[width] * depth], "relu", final_activation=True)
        self.right = perceptron([channels, *[width] * depth], "relu", final_activation=True)
        self.joined = perceptron([channels + width, *[width] * depth], "relu", final_activation=True)
        for linear in self.modules():
            if isinstance(linear, nn.Linear):
                nn.init.xavier_normal_(linear.weight)
                nn.init.zeros_(linear.bias)

    def forward(self, h: Tensor, pairs: Tensor) -> Tensor:
        """``pairs`` ``[B, N, N, 1]`` is one for pairs of nodes that exist."""
        left, right = self.left(h) * pairs, self.right(h) * pairs
        product = torch.einsum("bikc,bkjc->bijc", left, right)
        return self.joined(torch.cat([h, product], -1)) * pairs
