"""EGNN with velocities against the authors' code on trajectories of theirs (Satorras et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from baselines.catalogue.equivariant import EGNNSettings
from baselines.equivariant.egnn import EGNN
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tests.golden.particles import structures
from tests.golden.vectors import FORWARD, assert_gradients, below, load, names_of_layers, vectors


def test_features_positions_output_loss_and_gradients() -> None:
    """The authors move positions in place, so that after each layer the file has those of the last one. What the first
    layer moved shows in the second one's features.
    """
    found = vectors("egnn")
    x = structures(found)
    network = EGNN(Signature.of(x, Representation.NODE_POINTS, 1), EGNNSettings(width=32, layers=2)).double()
    names = names_of_layers(below(found, "weights."))
    load(network, below(found, "weights."), names)
    layers: list[tuple[Tensor, Tensor]] = []
    for layer in network.layers:
        layer.register_forward_hook(lambda _, inputs, outputs: layers.append(outputs))
    output = network(x)[..., 0]
    for index, (features, _) in enumerate(layers):
        torch.testing.assert_close(features, found[f"layer{index}.features"], **FORWARD)
        torch.testing.assert_close(layers[-1][1], found[f"layer{index}.positions"], **FORWARD)
    torch.testing.assert_close(output, found["output"], **FORWARD)
    loss = mse_loss(output, found["targets"])
    torch.testing.assert_close(loss, found["loss"], **FORWARD)
    loss.backward()
    assert_gradients(network, below(found, "gradient.loss."), names)
