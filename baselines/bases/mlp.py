"""A multilayer perceptron on flattened structures (Kim et al. 2023, section 4.1)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from baselines.bases.base_model import BaseModel
from baselines.catalogue.base_models import MLPSettings
from baselines.catalogue.shared import GraphNetworkSettings
from baselines.layers.sparse_linear import linear
from baselines.readout import first_point, present
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

ACTIVATIONS: Mapping[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU}


def perceptron(widths: Sequence[int], activation: str, final_activation: bool = False) -> nn.Sequential:
    """Linear layers with activations in between.

    Args:
        widths: The widths of the input, the hidden layers and the output.
        activation: A key of :data:`ACTIVATIONS`.
        final_activation: Adds an activation after the last layer.
    """
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(widths):
        layers += [nn.Linear(wide, narrow), ACTIVATIONS[activation]()]
    return nn.Sequential(*(layers if final_activation else layers[:-1]))


def head(channels: int, signature: Signature, settings: GraphNetworkSettings) -> nn.Sequential:
    """A perceptron from features to the outputs of ``signature``, with hidden layers of widths ``settings.head``."""
    widths = [channels, *settings.head, signature.output_channels]
    return perceptron(widths, settings.activation, settings.final_activation)


class MLP(BaseModel):
    """Reads the fields ``settings.reads`` of a structure, flattened and padded to the nodes of the signature.

    Predicts scalars of graphs ``[B, C]``, nodes ``[B, N, C]`` or pairs ``[B, N, N, C]``, or points ``[B, N, D, 1]`` as
    displacements from the first input point.
    """

    def __init__(self, signature: Signature, settings: MLPSettings) -> None:
        super().__init__()
        nodes = signature.nodes
        sizes = {
            "node_scalars": nodes * signature.node_scalars,
            "geometry": nodes * signature.dimension * signature.geometry,
            "edges": nodes * nodes * signature.edge_scalars,
        }
        self.reads = [name for name in sizes if sizes[name] and (settings.reads is None or name in settings.reads)]
        self.signature = signature
        within: Mapping[Representation, tuple[int, ...]] = {
            Representation.NODE_SCALARS: (nodes,),
            Representation.NODE_POINTS: (nodes, signature.dimension),
            Representation.EDGE_SCALARS: (nodes, nodes),
        }
        self.shape = (*within.get(signature.output, ()), signature.output_channels)
        widths = [sum(sizes[name] for name in self.reads), *settings.widths, math.prod(self.shape)]
        self.layers = perceptron(widths, settings.activation, settings.final_activation)

    def forward(self, x: Structure) -> Tensor:
        fields = {
            "node_scalars": lambda: x.node_scalars,
            "geometry": lambda: x.coordinates,
            "edges": lambda: x.edge_scalars,
        }
        row = torch.cat([fields[name]().flatten(1) for name in self.reads], 1)
        first, *others = self.layers
        assert isinstance(first, nn.Linear)
        out = linear(first, row)
        for layer in others:
            out = layer(out)
        out = out.unflatten(1, self.shape)
        return present(out, x, self.signature.output)

    def origin(self, x: Structure) -> Tensor | None:
        return first_point(x, self.signature.output)
