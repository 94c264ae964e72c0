"""What every model does with its network: in which precision, compiled or not, and what becomes of a prediction."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baselines.model import Equivariant, Prediction
from tasks.symmetry.structure import Structure
from tests.structures import random_graphs

X = random_graphs(3, 5, dtype=torch.float32)


class Linear(nn.Module):
    """Of the sums of node scalars; notes in which precision it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(2, 4)
        self.seen: list[torch.dtype] = []

    def forward(self, x: Structure) -> Tensor:
        y: Tensor = self.map(x.node_scalars.sum(1))
        self.seen.append(y.dtype)
        return y


class InSinglePrecision(Linear):
    takes_bfloat16 = False


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The networks that were compiled, to twice what they are."""
    made: list[nn.Module] = []

    def twice(network: nn.Module) -> Callable[[Structure], Tensor]:
        made.append(network)
        return lambda x: 2 * network(x)

    monkeypatch.setattr(torch, "compile", twice)
    return made


def test_a_network_is_compiled_once_and_for_training_alone(compiled: list[nn.Module]) -> None:
    model = Equivariant(Linear())
    expected = model.network(X)
    model.compiles = True
    assert torch.equal(model.eval()(X, 1).value, expected) and not compiled
    for _ in range(3):
        assert torch.equal(model.train()(X, 1).value, 2 * expected)
    assert torch.equal(model.eval()(X, 1).value, expected)
    assert compiled == [model.network]


def test_a_copy_and_another_network_are_compiled_anew(compiled: list[nn.Module]) -> None:
    """What was compiled of one would go on to compute with its weights."""
    model = Equivariant(Linear()).train()
    model.compiles = True
    model(X, 1)
    other = copy.deepcopy(model)
    nn.init.ones_(other.network.map.weight)  # type: ignore[union-attr, arg-type]
    assert torch.equal(other(X, 1).value, 2 * other.network(X))
    model.network = Linear()
    assert torch.equal(model(X, 1).value, 2 * model.network(X))
    assert len(compiled) == 3 and compiled[1:] == [other.network, model.network]


@pytest.mark.parametrize("kind", [Linear, InSinglePrecision])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_network_is_trained_in_bfloat16_where_that_is_asked_for_and_it_can(
    kind: type[Linear], training: bool, mixed: bool
) -> None:
    """What it puts out is in the precision of the input all the same."""
    network = kind()
    model = Equivariant(network).train(training)
    model.mixed_precision = mixed
    value = model(X, 1).value
    assert network.seen == [torch.bfloat16 if mixed and training and kind is Linear else torch.float32]
    assert value.dtype is torch.float32


def test_a_share_of_a_batch_has_the_penalty_and_the_statistics_of_that_share() -> None:
    value = torch.randn(3, 2)
    whole = Prediction(value, torch.tensor(4.0), {"entropy": torch.tensor(8.0), "other": torch.tensor(2.0)})
    part = whole.weighted(0.25)
    assert part.value is value
    assert part.penalty is not None and part.penalty.item() == 1.0
    assert {name: number.item() for name, number in part.statistics.items()} == {"entropy": 2.0, "other": 0.5}
    assert Prediction(value).weighted(0.25).penalty is None


def test_a_network_that_is_symmetric_by_construction_has_one_draw_and_no_noise() -> None:
    model = Equivariant(Linear()).eval()
    assert model.noise(X, 5, None) == () and model.deterministic and model.fixed_samples == 1
    assert torch.equal(model.draws(X, 5), model.network(X)[:, None])
