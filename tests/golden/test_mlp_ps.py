"""An MLP with probabilistic symmetrization on EXP-classify against the authors': objective, gradients, trajectory."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR

from baselines.bases.mlp import MLP
from baselines.catalogue.base_models import MLPSettings
from baselines.model import Prediction
from baselines.symmetrized import Symmetrized
from harness.training.fit import optimizer
from harness.training.schedule import Budget
from tasks.protocol import Protocol
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.golden.vectors import (
    FORWARD,
    GRADIENT,
    assert_gradients,
    assert_values,
    below,
    both,
    graph_q_names,
    graph_sampler,
    graph_structures,
    load,
    vectors,
)

V = vectors("mlp_ps")
Q = {f"q.{theirs}": f"sampler.network.scorer.{ours}" for theirs, ours in graph_q_names(3)}
LAYERS = {theirs: ours for layer in range(5) for theirs, ours in both(f"layer{layer}", f"layers.{2 * layer}")}
BASE = {f"base.{theirs}": f"base.{ours}" for theirs, ours in LAYERS.items()}
BATCHES = len(V["labels"])
SHORT_NORMS = 6


def structures(batch: int) -> Structure:
    return graph_structures(V["node_features"][batch], V["adjacency"][batch], V["node_counts"][batch])


def model() -> Symmetrized:
    x = structures(0)
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    base = MLP(signature, MLPSettings(widths=(6, 12, 8, 10))).double()
    load(base, below(V, "base."), LAYERS)
    return Symmetrized(base, graph_sampler(x, signature, below(V, "q.")), Representation.GRAPH_SCALARS)


def forward(symmetrized: Symmetrized, batch: int) -> tuple[Prediction, Tensor]:
    noise = V["noise.features"][batch], V["noise.ties"][batch]
    sample = symmetrized.sampler(structures(batch), noise)
    assert sample.penalty is not None  # in evaluation mode a prediction has none
    value, mass = symmetrized._weighted_sum(structures(batch), sample)
    prediction = Prediction(value / mass, sample.penalty, sample.statistics)
    labels = V["labels"][batch].double()[:, None]
    return prediction, binary_cross_entropy_with_logits(prediction.value, labels)


def expected(prefix: str, part: str) -> Mapping[str, Tensor]:
    return {f"{part}.{name}": value for name, value in below(V, f"{prefix}.{part}.").items()}


def norm(module: nn.Module) -> Tensor:
    return torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm()


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_objective(mode: str) -> None:
    prediction, loss = forward(model().train(mode == "train"), 0)
    assert prediction.penalty is not None
    torch.testing.assert_close(prediction.value[:, 0].detach(), V[f"one.{mode}.logits"], **FORWARD)
    torch.testing.assert_close(loss.detach(), V[f"one.{mode}.loss"], **FORWARD)
    torch.testing.assert_close(prediction.statistics["entropy"], V[f"one.{mode}.entropy"], **FORWARD)
    torch.testing.assert_close(prediction.objective(loss).detach(), V[f"one.{mode}.objective"], **FORWARD)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_prediction_is_that_of_the_model(mode: str) -> None:
    """What a training step or an evaluation calls gives the same logits."""
    symmetrized = model().train(mode == "train")
    noise = V["noise.features"][0], V["noise.ties"][0]
    value = symmetrized.from_noise(structures(0), noise, 2).value
    torch.testing.assert_close(value[:, 0].detach(), V[f"one.{mode}.logits"], **FORWARD)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_gradients_of_the_loss(mode: str) -> None:
    symmetrized = model().train(mode == "train")
    _, loss = forward(symmetrized, 0)
    loss.backward()
    assert_gradients(symmetrized, expected(f"one.{mode}.gradient.loss", "q"), Q)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_gradients_of_the_objective(mode: str) -> None:
    symmetrized = model().train(mode == "train")
    prediction, loss = forward(symmetrized, 0)
    prediction.objective(loss).backward()
    assert_gradients(symmetrized, expected(f"one.{mode}.gradient.objective", "q"), Q)
    assert_gradients(symmetrized, expected(f"one.{mode}.gradient.objective", "base"), BASE)
    expected_norm = V[f"one.{mode}.gradient.objective.norm"]
    torch.testing.assert_close(norm(symmetrized), expected_norm, rtol=GRADIENT, atol=0.0)


def test_running_statistics() -> None:
    symmetrized = model().train()
    forward(symmetrized, 0)
    assert_values(symmetrized, {f"q.{name}": value for name, value in below(V, "one.train.after.").items()}, Q)


@pytest.mark.parametrize(("epoch", "warmup", "atol"), [("official", 1600, 1e-12), ("short", 4, 1e-7)])
def test_an_epoch(epoch: str, warmup: int, atol: float) -> None:
    """Losses, entropies, gradient norms and learning rates of every step; the first step moves nothing."""
    symmetrized = model().train()
    protocol = Protocol(epochs=2001, batch_size=5, warmup_steps=warmup, clip_norm=0.1)
    descent = optimizer(symmetrized.parameters(), protocol)
    schedule = LambdaLR(descent, Budget(protocol, 5 * BATCHES).learning_rate_factor)
    found: dict[str, list[Tensor]] = {name: [] for name in ("loss", "entropy", "gradient_norm", "lr", "logits")}
    for batch in range(BATCHES):
        prediction, loss = forward(symmetrized, batch)
        descent.zero_grad()
        prediction.objective(loss).backward()
        found["lr"].append(torch.tensor(descent.param_groups[0]["lr"], dtype=torch.float64))
        found["gradient_norm"].append(clip_grad_norm_(symmetrized.parameters(), 0.1))
        descent.step()
        schedule.step()
        found["loss"].append(loss.detach())
        found["entropy"].append(prediction.statistics["entropy"])
        found["logits"].append(prediction.value[:, 0].detach())
    for name in ("loss", "entropy", "lr", "logits"):
        torch.testing.assert_close(torch.stack(found[name]), V[f"epoch.{epoch}.{name}"], rtol=0.0, atol=atol)
    # Of the gradient's norm Adam amplifies rounding fourfold at every step, so that later ones of `short` say nothing.
    steps = BATCHES if epoch == "official" else SHORT_NORMS
    norms, expected_norms = torch.stack(found["gradient_norm"])[:steps], V[f"epoch.{epoch}.gradient_norm"][:steps]
    torch.testing.assert_close(norms, expected_norms, rtol=max(atol, GRADIENT), atol=0.0)
    for name in ("loss", "entropy"):
        mean = torch.stack(found[name]).mean()
        torch.testing.assert_close(mean, V[f"epoch.{epoch}.mean_{name}"], rtol=0.0, atol=atol)
    assert descent.param_groups[0]["lr"] == pytest.approx(V[f"epoch.{epoch}.lr_after"].item(), rel=1e-12)
    if after := below(V, f"epoch.{epoch}.after."):
        assert_values(symmetrized, after, Q | BASE, atol=1e-7)
