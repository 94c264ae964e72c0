"""The variance of predictions and losses over repeats, as the authors' analysis has it (``sample_complexity.npz``)."""

from __future__ import annotations

import pytest
import torch

from baselines.bases.mlp import MLP
from baselines.catalogue.base_models import MLPSettings
from baselines.symmetrized import Symmetrized
from harness.training.output_variance import spread, variance_point
from tasks.exp import ExpClassify
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.golden.vectors import FORWARD, below, both, graph_sampler, graph_structures, load, vectors

V = vectors("sample_complexity")
LAYERS = {theirs: ours for layer in range(5) for theirs, ours in both(f"layer{layer}", f"layers.{2 * layer}")}
REPEATS = 100


def model(x: Structure) -> Symmetrized:
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    base = MLP(signature, MLPSettings(widths=(12, 8, 8, 10))).double()
    load(base, below(V, "base."), LAYERS)
    return Symmetrized(base, graph_sampler(x, signature, below(V, "q.")), Representation.GRAPH_SCALARS).eval()


@pytest.mark.parametrize("place", range(4))
def test_logits(place: int) -> None:
    x, samples = graph_structures(V["node_features"], V["adjacency"], V["node_counts"]), int(V["k"][place])
    symmetrized = model(x)
    features, ties = V[f"k{samples}.noise.features"], V[f"k{samples}.noise.ties"]
    with torch.no_grad():
        found = [symmetrized.from_noise(x, noise, samples).value[:, 0] for noise in zip(features, ties, strict=True)]
    torch.testing.assert_close(torch.stack(found), V["logits"][place], **FORWARD)


@pytest.mark.parametrize("place", range(4))
def test_variance_over_repeats(place: int) -> None:
    """Of what is predicted, a probability, and of the loss: the mean deviation over graphs, squared."""
    task = ExpClassify.__new__(ExpClassify)  # what is put out and lost needs no data
    predictions, targets = V["logits"][place][..., None], V["labels"].double()[:, None]
    outputs, losses = task.outputs(predictions), task.losses(predictions, targets)
    torch.testing.assert_close(spread(outputs), V["prediction_std.by_graph"][place], **FORWARD)
    torch.testing.assert_close(spread(outputs).mean(), V["prediction_std"][place], **FORWARD)
    torch.testing.assert_close(spread(losses).mean(), V["loss_std"][place], **FORWARD)
    point = variance_point("trained", int(V["k"][place]), outputs, losses)
    assert point.repeats == REPEATS
    found = torch.tensor([point.output_variance, point.loss_mean, point.loss_variance], dtype=torch.float64)
    names = ("prediction_variance", "loss_mean", "loss_variance")
    torch.testing.assert_close(found, torch.stack([V[name][place] for name in names]), **FORWARD)
