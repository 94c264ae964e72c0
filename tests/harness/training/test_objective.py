"""What a step of training lowers, and by how much it moves the weights."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from baselines.build import build
from baselines.model import Model, Prediction
from harness.registry import method
from harness.training.context import RunContext
from harness.training.evaluate import draw, predict
from harness.training.fit import Fit, optimizer, optimizer_step
from harness.training.results import NullHooks
from harness.training.stacked import StackedFit
from tasks.protocol import Protocol
from tests.harness.training.small_problems import EdgeCount

CPU = torch.device("cpu")


class Indifferent(EdgeCount):
    """Every prediction is as good as any other."""

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return 0 * predictions.sum()


class Rows:
    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def log(self, step: int, values: Any) -> None:
        self.rows.append(dict(values))


def double(hooks: Any = None) -> RunContext:
    return RunContext(dtype=torch.float64, hooks=hooks or NullHooks())


def model(name: str, **sampler: Any) -> Model:
    card, task = method(name), EdgeCount()
    torch.manual_seed(0)
    own = card.sampler.params if card.sampler else {}
    return build(card, task.signature, ("S_n",), card.base.params, {**own, **sampler}).double()


def trained(network: Model, hooks: Any = None, **settings: Any) -> Model:
    protocol = Protocol(**{"epochs": 1, "batch_size": 40, "train_samples": 2, "valid_samples": 2, **settings})
    Fit(network, Indifferent({}), protocol, double(hooks), seed=0).run()
    return network


def test_the_penalty_is_the_weight_times_the_entropy_and_is_added() -> None:
    network = model("mlp-ps", entropy_weight=0.25).train()
    x = EdgeCount().data("train").inputs.to(CPU, torch.float64)
    prediction = network(x, 2, torch.Generator().manual_seed(0))
    entropy, loss = prediction.statistics["entropy"], torch.tensor(3.0, dtype=torch.float64)
    assert entropy > 0.1
    torch.testing.assert_close(prediction.objective(loss), loss + 0.25 * entropy)
    assert Prediction(prediction.value).objective(loss) is loss


@pytest.mark.parametrize("stack", [False, True])
def test_training_lowers_the_entropy_of_what_is_soft(stack: bool) -> None:
    """With no loss to lower; alone and in a stack. A weight of 0 asks for nothing."""

    def entropies(weight: float) -> list[float]:
        network, rows = model("mlp-ps", entropy_weight=weight), Rows()
        settings = {"epochs": 6, "batch_size": 10, "lr": 1e-2}
        if not stack:
            trained(network, rows, **settings)
        else:
            protocol = Protocol(**settings, train_samples=2, valid_samples=2)
            StackedFit([network], Indifferent({}), protocol, [double(rows)], seeds=(0,)).run()
        return [row["train/entropy"] for row in rows.rows]

    falling, free = entropies(1.0), entropies(0.0)
    assert falling[-1] < 0.93 * free[-1]
    assert free[-1] == pytest.approx(free[0], rel=0.03)


@pytest.mark.parametrize(("kind", "decay"), [("adamw", 0.1), ("adamw", 0.0), ("adam", 0.0)])
def test_weights_decay_by_the_rate_times_the_decay(kind: str, decay: float) -> None:
    """Where the gradient is zero, one step of AdamW leaves 1 - lr * decay of each weight that has one."""
    network, start = trained(model("gin"), optimizer=kind, weight_decay=decay, lr=0.5), model("gin")
    moved = dict(start.named_parameters())
    assert moved
    for name, value in network.named_parameters():
        torch.testing.assert_close(value, (1 - 0.5 * decay) * moved[name], msg=name)


def test_the_decay_of_adam_is_part_of_its_gradient() -> None:
    """Its first step moves every weight by the learning rate towards zero."""
    network, start = trained(model("gin"), optimizer="adam", weight_decay=0.1, lr=1e-6), model("gin")
    for ours, before in zip(network.parameters(), start.parameters(), strict=True):
        large = before.abs() > 1e-3
        torch.testing.assert_close((ours - before)[large], -1e-6 * before.sign()[large], rtol=1e-3, atol=0)


@pytest.mark.parametrize(("clip_norm", "norm"), [(None, 5.0), (0.1, 0.1), (4.9, 4.9), (100.0, 5.0)])
def test_a_step_is_that_of_the_gradient_clipped_over_all_weights(clip_norm: float | None, norm: float) -> None:
    """Down the gradient (3, 4), whose norm is 5; a gradient of the step before leaves nothing behind."""
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    descent = torch.optim.SGD([first, second], lr=0.5)
    for step in (1, 2):
        optimizer_step(descent, 3 * first.sum() + 4 * second.sum(), [first, second], clip_norm)
        moved = torch.stack([first.detach(), second.detach()])[:, 0]
        expected = -0.5 * step * norm / 5 * torch.tensor([3.0, 4.0])
        torch.testing.assert_close(moved, expected, rtol=1e-5, atol=0)


def test_the_optimiser_is_the_one_asked_for() -> None:
    found = [optimizer([nn.Parameter(torch.ones(1))], Protocol(optimizer=kind, lr=0.2)) for kind in ("adam", "adamw")]
    assert [type(one) for one in found] == [torch.optim.Adam, torch.optim.AdamW]
    assert all(one.param_groups[0]["lr"] == 0.2 for one in found)


def test_the_logged_loss_is_the_mean_over_steps_of_the_loss_of_each_batch() -> None:
    """Not the objective; two batches of 30 and 10 count alike, and the budget ends in the middle of an epoch."""
    losses = iter([2.0, 8.0, 4.0])

    class Told(EdgeCount):
        def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
            return 0 * predictions.sum() + (next(losses) if predictions.requires_grad else 1.0)

    rows = Rows()
    protocol = Protocol(epochs=2, max_steps=3, batch_size=30, train_samples=2, valid_samples=2, lr=0.0625)
    network = model("mlp-ps", entropy_weight=7.0)
    Fit(network, Told({}), protocol, double(rows), seed=0).run()
    assert [row["train/loss"] for row in rows.rows] == [5.0, 4.0] and rows.rows[0]["train/lr"] == 0.0625
    assert rows.rows[0]["validation/loss"] == 1.0 and math.isfinite(rows.rows[0]["validation/mse"])


@pytest.mark.parametrize("name", ["mlp-ps", "mlp-ga", "gin"])
def test_what_is_logged_or_measured_holds_no_graph(name: str) -> None:
    """Else an epoch would keep everything that its steps have computed."""
    network, task = model(name), EdgeCount()
    protocol = Protocol(epochs=1, batch_size=10, train_samples=3, valid_samples=2)
    fit = Fit(network, task, protocol, double(), seed=0)
    batch, noise = fit.train[torch.arange(10)], torch.Generator().manual_seed(0)
    values = [*fit.step(batch, noise).values(), *network.train()(batch[0], 3, noise).statistics.values()]
    values += [predict(network, batch[0], 2, 4, noise), draw(network, batch[0], 2, 4, noise)]
    assert len(values) > 2 and not any(value.requires_grad for value in values)
    stack = StackedFit([model(name)], task, protocol, [double()], seeds=(0,))
    stacked = stack._step(torch.arange(10)[None], [noise])
    assert not any(value.requires_grad for value in (*stacked.values(), stack._predictions()))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_kernel_takes_the_steps_of_the_formula(name: Literal["adam", "adamw"]) -> None:
    """Against torch's plain operators, over steps with a decay; elsewhere than on a CPU or CUDA these are taken."""
    protocol = Protocol(optimizer=name, lr=1e-2, weight_decay=0.1)
    one, plain = ([nn.Parameter(torch.ones(7, 5, dtype=torch.float64))] for _ in range(2))
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    ours, theirs = optimizer(one, protocol), kind(plain, lr=1e-2, weight_decay=0.1, foreach=False)
    for step in range(20):
        gradient = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        for parameters, descent in ((one, ours), (plain, theirs)):
            parameters[0].grad = gradient.clone()
            descent.step()
    assert ours.param_groups[0]["fused"]
    torch.testing.assert_close(one, plain, atol=1e-14, rtol=1e-14)
    assert not optimizer([nn.Parameter(torch.ones(2, device="meta"))], protocol).param_groups[0]["fused"]
