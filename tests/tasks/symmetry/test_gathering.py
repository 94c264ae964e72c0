"""Gathers with gradients of their own: those of torch's indexing, on a CPU and in the way of an accelerator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tasks.symmetry import deterministic, gathering
from tasks.symmetry.deterministic import running_sums
from tasks.symmetry.element import Permutation
from tasks.symmetry.gathering import Grouping, exchanged, inverse_of, selected, taken
from tests.harness.training.test_no_waiting import Watch

Way = Callable[[Tensor], Tensor]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PLACES = torch.tensor([[0, 2, 2, 1], [3, 3, 3, 0]])
ONE_TO_ONE = torch.tensor([4, 1, 5, 0])  # 5 is no row
BACK = torch.tensor([3, 1, 4, 4, 0])  # 4 is nowhere
GROUPS = torch.tensor([3, 0, 3, 3, 1])
WAYS: dict[str, tuple[Tensor, Way, Way]] = {
    "taken": (
        normal(2, 4, 3),
        lambda values: taken(values, PLACES),
        lambda values: values[torch.arange(2)[:, None], PLACES],
    ),
    "selected": (
        normal(2, 4, 3),
        lambda values: selected(values, PLACES[1], -2),
        lambda values: values[:, PLACES[1]],
    ),
    "selected from the last axis": (
        normal(2, 4, 3),
        lambda values: selected(values, PLACES[0], -1),
        lambda values: values[..., PLACES[0]],
    ),
    "exchanged": (
        normal(5, 3),
        lambda values: exchanged(values, ONE_TO_ONE, BACK),
        lambda values: torch.cat([values, torch.zeros(1, 3)])[ONE_TO_ONE],
    ),
    "spread": (normal(4, 3), lambda values: Grouping.of(GROUPS, 4).spread(values), lambda values: values[GROUPS]),
    "sums": (
        normal(5, 3),
        lambda values: Grouping.of(GROUPS, 4).sums(values),
        lambda values: torch.zeros(4, 3, dtype=torch.float64).index_add(0, GROUPS, values),
    ),
}


@pytest.fixture(params=["cpu", "accelerator"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whose way is taken; both give the same on a CPU."""
    if request.param == "accelerator":
        for module in (gathering, deterministic):
            monkeypatch.setattr(module, "on_cpu", lambda values: False)
    return str(request.param)


@pytest.mark.parametrize("name", WAYS)
def test_values_and_gradients_are_those_of_indexing(name: str, way: str) -> None:
    values, ours, theirs = WAYS[name]
    values = values.clone().requires_grad_()
    found, expected = ours(values), theirs(values)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    weights = normal(*found.shape, seed=1)
    (gradient,) = torch.autograd.grad((found * weights).sum(), values)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), values)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-14, rtol=0)


@pytest.mark.parametrize("name", WAYS)
def test_gradients_have_no_operator_that_sorts_on_an_accelerator(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "on_cpu", lambda values: False)
    values, ours, _ = WAYS[name]
    with Watch("cpu"):
        ours(values.clone().requires_grad_()).sum().backward()


def test_permutations_are_inverted_and_counted(way: str) -> None:
    images = normal(3, 4, 6).argsort(-1)
    element = Permutation.from_images(images)
    assert torch.equal(images.gather(-1, inverse_of(images)), torch.arange(6).expand(3, 4, 6))
    assert torch.equal(element.mean_matrix, torch.eye(6)[images].mean(1))


def test_running_sums(way: str) -> None:
    values = normal(3, 7)
    torch.testing.assert_close(running_sums(values), values.cumsum(-1), atol=1e-15, rtol=1e-15)


def test_an_empty_group_of_entries_sums_to_zero() -> None:
    none = Grouping.of(torch.zeros(0, dtype=torch.long), 3)
    assert none.sums(torch.zeros(0, 2)).tolist() == [[0.0, 0.0]] * 3
    assert none.spread(torch.ones(3, 2)).shape == (0, 2)
