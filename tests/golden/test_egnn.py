"""EGNN with velocities against the authors' code on trajectories of theirs (Satorras et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from baselines.equivariant.egnn import EGNN
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tests.golden.particles import assert_gradients, below, in_our_names, particles, vectors


def test_features_positions_output_loss_and_gradients() -> None:
    """The authors move positions in place, so that after each layer the file has those of the last one. What the first
    layer moved shows in the second one's features.
    """
    found = vectors("egnn")
    x = particles(found)
    network = EGNN(Signature.of(x, Representation.NODE_POINTS, 1), {"width": 32, "layers": 2}).double()
    network.load_state_dict(in_our_names(below(found, "weights.")))
    layers: list[tuple[Tensor, Tensor]] = []
    for layer in network.layers:
        layer.register_forward_hook(lambda _, inputs, outputs: layers.append(outputs))
    output = network(x)[..., 0]
    for index, (features, _) in enumerate(layers):
        torch.testing.assert_close(features, found[f"layer{index}.features"], atol=1e-12, rtol=0)
        torch.testing.assert_close(layers[-1][1], found[f"layer{index}.positions"], atol=1e-12, rtol=0)
    torch.testing.assert_close(output, found["output"], atol=1e-12, rtol=0)
    loss = mse_loss(output, found["targets"])
    torch.testing.assert_close(loss, found["loss"], atol=1e-12, rtol=0)
    loss.backward()
    assert_gradients(network, below(found, "gradient.loss."))
