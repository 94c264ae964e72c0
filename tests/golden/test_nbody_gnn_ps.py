"""The message-passing network on n-body under O(3) against the authors': rotations, outputs and gradients."""

from __future__ import annotations

import pytest
import torch

from baselines.bases.gnn import GNN
from baselines.catalogue.base_models import GNNSettings
from baselines.symmetrized import Symmetrized
from tasks.symmetry.element import Rigid
from tests.golden.particles import (
    MODES,
    forward,
    rotation_names,
    sampler,
    signature,
    structures,
    symmetrized,
)
from tests.golden.vectors import FORWARD, assert_gradients, assert_values, below, load, names_of_layers, vectors

V = vectors("nbody_gnn_ps")
Q = dict(rotation_names())
BASE = names_of_layers(below(V, "base."))
EACH = pytest.mark.parametrize("mode", MODES)


def model(mode: str) -> Symmetrized:
    """In mode ``dropout`` a dropout of 0.08 is on, which no rotation sees."""
    base = GNN(signature(structures(V)), GNNSettings(width=24, layers=2)).double()
    load(base, below(V, "base."), BASE)
    return symmetrized(base, sampler(V, ("E(3)",), mode, Q), mode)


@EACH
def test_rotations(mode: str) -> None:
    _, _, sample = forward(V, model(mode))
    assert isinstance(sample.element, Rigid)
    torch.testing.assert_close(sample.element.matrix.detach(), V[f"{mode}.rotation"], **FORWARD)
    assert sample.penalty is None


@EACH
def test_what_the_base_model_sees_and_puts_out(mode: str) -> None:
    network = model(mode)
    _, _, sample = forward(V, network)
    posed = network.base.pullback(structures(V), sample.element)
    torch.testing.assert_close(posed.coordinates.detach().unflatten(0, (4, 3)), V[f"{mode}.posed_nodes"], **FORWARD)
    output = network.base(posed).detach().squeeze(-1).unflatten(0, (4, 3))
    torch.testing.assert_close(output, V[f"{mode}.base_output"], **FORWARD)


@EACH
def test_the_prediction_and_its_loss(mode: str) -> None:
    output, loss, _ = forward(V, model(mode))
    torch.testing.assert_close(output.detach(), V[f"{mode}.output"], **FORWARD)
    torch.testing.assert_close(loss.detach(), V[f"{mode}.loss"], **FORWARD)


@EACH
def test_gradients_of_the_loss(mode: str) -> None:
    network = model(mode)
    _, loss, _ = forward(V, network)
    loss.backward()
    assert_gradients(network.sampler.network, below(V, f"{mode}.gradient.loss.q."), Q)
    assert_gradients(network.base, below(V, f"{mode}.gradient.loss.base."), BASE)


@pytest.mark.parametrize("mode", ["train", "dropout"])
def test_running_statistics(mode: str) -> None:
    network = model(mode)
    forward(V, network)
    assert_values(network.sampler.network, below(V, f"{mode}.after.q."), Q)
