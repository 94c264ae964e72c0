"""What follows the data on the CPU is computed in fixed shapes elsewhere, to the same numbers and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.layers.batch_norm import BatchNorm
from baselines.layers.vector_neurons import on_existing
from baselines.q_networks.gin import GINScorer
from tasks.symmetry.dynamic_shapes import may_follow_data
from tests.structures import random_graphs

Numbers = dict[str, Tensor]


def numbers(module: nn.Module, forward: Callable[[], Tensor]) -> Numbers:
    """What one training step and one evaluation leave: outputs, gradients, running statistics."""
    trained = forward()
    trained.square().sum().backward()
    gradients = {f"gradient of {name}": value.grad for name, value in module.named_parameters()}
    module.eval()
    evaluated = forward().detach()
    return {"trained": trained.detach(), "evaluated": evaluated, **gradients, **dict(module.named_buffers())}


def compared(make: Callable[[], nn.Module], forward: Callable[[nn.Module], Tensor], patch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    following = make().double()
    torch.manual_seed(0)
    static = make().double()
    expected = numbers(following, lambda: forward(following))
    patch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not may_follow_data(torch.ones(1))
    found = numbers(static, lambda: forward(static))
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-9, rtol=1e-7, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.4}, {"input_linear": False}])
def test_the_scorer_of_graphs(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    x = random_graphs(5, 7)
    noise = torch.rand(5, 3, 7, 2, dtype=torch.float64)

    def scores(scorer: nn.Module) -> Tensor:
        torch.manual_seed(1)  # of dropout
        found: Tensor = scorer(x, noise)
        return found

    compared(lambda: GINScorer(2, 8, 2, **settings), scores, monkeypatch)


def test_batch_normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, mask = torch.randn(6, 5, 3, dtype=torch.float64), torch.rand(6, 5) < 0.6
    compared(lambda: BatchNorm(3), lambda norm: norm(rows, mask) * mask[..., None], monkeypatch)


def test_batch_normalisation_does_not_look_at_what_does_not_exist() -> None:
    rows, mask = torch.randn(6, 5, 3), torch.rand(6, 5) < 0.6
    norm, other = BatchNorm(3), BatchNorm(3)
    ours = norm(rows, mask)[mask]
    torch.testing.assert_close(ours, nn.BatchNorm1d(3)(rows[mask]))
    torch.testing.assert_close(other(rows.masked_fill(~mask[..., None], 1e6), mask)[mask], ours)


def test_functions_of_rows_that_exist_can_be_mapped_over() -> None:
    """Where shapes may not follow the data, the function is of all rows, and those that exist are the same."""
    rows, mask = torch.randn(4, 6, 5, 3, dtype=torch.float64), torch.rand(4, 6, 5) < 0.6
    seen: list[int] = []

    def function(part: Tensor) -> Tensor:
        seen.append(len(part))
        return part.tanh()

    expected = torch.stack([on_existing(function, *pair) for pair in zip(rows, mask, strict=True)])
    assert seen == mask.sum((1, 2)).tolist() and not expected[~mask].any()
    seen.clear()
    found = torch.vmap(lambda part, exists: on_existing(function, part, exists))(rows, mask)
    assert seen == [30]
    torch.testing.assert_close(found[mask], expected[mask])
    assert torch.equal(on_existing(function, rows, None), rows.tanh())
