"""A general, powerful, scalable graph transformer (Rampasek et al. 2022) with the modules of PyG's layer.

Positional encodings are return probabilities of random walks, which are equivariant, unlike eigenvectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import GPSConv, ResGatedGraphConv

from baselines.bases.mlp import head
from baselines.catalogue.equivariant import GPSSettings
from baselines.layers.edge_lists import EdgeLists, joined
from baselines.readout import read_out
from tasks.symmetry.structure import Signature, Structure


def return_probabilities(x: Structure, steps: int) -> Tensor:
    """The probabilities that a random walk returns to its node after a number of steps (Dwivedi et al. 2022).

    Args:
        x: B graphs with N nodes.
        steps: The largest number of steps.

    Returns:
        Probabilities for 1 to ``steps`` steps, ``[B, N, steps]``, zero for nodes without edges.
    """
    edges = joined(x).to(x.edge_scalars.dtype)
    step = edges / edges.sum(-1, keepdim=True).clamp_min(1)
    walk, found = step, []
    for _ in range(steps):
        found.append(walk.diagonal(dim1=1, dim2=2))
        walk = walk @ step
    return torch.stack(found, -1)


class Layer(nn.Module):
    """The layer of PyG and its gated convolution, with deterministic sums in place of scatter operations."""

    def __init__(self, width: int, heads: int, edge_scalars: int) -> None:
        super().__init__()
        self.parts = GPSConv(width, ResGatedGraphConv(width, width, edge_dim=edge_scalars), heads)

    def forward(self, h: Tensor, graph: EdgeLists) -> Tensor:
        parts, dense = self.parts, graph.padded(h)
        near = parts.norm1(self._convolved(h, graph) + h)
        attended, _ = parts.attn(dense, dense, dense, key_padding_mask=~graph.mask, need_weights=False)
        both = near + parts.norm2(graph.rows(attended) + h)
        return parts.norm3(both + parts.mlp(both))

    def _convolved(self, h: Tensor, graph: EdgeLists) -> Tensor:
        convolution = self.parts.conv
        own = torch.cat([graph.target.spread(h), graph.edge_scalars], -1)
        other = torch.cat([graph.source.spread(h), graph.edge_scalars], -1)
        gates = (convolution.lin_key(own) + convolution.lin_query(other)).sigmoid()
        return graph.target.sums(gates * convolution.lin_value(other)) + convolution.lin_skip(h) + convolution.bias


class GPS(nn.Module):
    """Layers of a gated convolution and attention over the whole graph in parallel, and a head.

    Reads node scalars and ``walk_steps`` return probabilities.

    Raises:
        ValueError: ``heads`` does not divide ``width``.
    """

    def __init__(self, signature: Signature, settings: GPSSettings) -> None:
        super().__init__()
        width, heads = settings.width, settings.heads
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, unlike {width} and {heads}")
        self.output = signature.output
        self.walk_steps = settings.walk_steps
        self.embed = nn.Linear(signature.node_scalars + self.walk_steps, width)
        self.layers = nn.ModuleList(Layer(width, heads, signature.edge_scalars) for _ in range(settings.layers))
        self.head = head(width, signature, settings)

    def forward(self, x: Structure) -> Tensor:
        graph = EdgeLists.of(x)
        h = self.embed(graph.rows(torch.cat([x.node_scalars, return_probabilities(x, self.walk_steps)], -1)))
        for layer in self.layers:
            h = layer(h, graph)
        return read_out(graph.padded(h), x, self.output, self.head)
