"""A wide layer on sparse rows gives what the product of matrices gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baselines.layers import sparse_linear
from baselines.layers.sparse_linear import Entries, linear

ROWS, INPUTS, OUTPUTS = 600, 1300, 900


def sparse_rows(share: float, dtype: torch.dtype = torch.float64) -> Tensor:
    noise = torch.Generator().manual_seed(0)
    rows = torch.randn(ROWS, INPUTS, generator=noise, dtype=dtype)
    rows = rows * (torch.rand(ROWS, INPUTS, generator=noise) < share)
    rows[:3] = 0  # rows without an entry, the last one too
    rows[-1] = 0
    return rows.requires_grad_()


def products(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """How often ``action`` takes the sparse way."""
    calls = []
    apply = sparse_linear._SparseLinear.apply
    monkeypatch.setattr(sparse_linear._SparseLinear, "apply", lambda *args: calls.append(1) or apply(*args))
    action()
    return len(calls)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_values_and_gradients_are_those_of_the_layer(
    dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, rows = nn.Linear(INPUTS, OUTPUTS, dtype=dtype), sparse_rows(0.03, dtype)
    weights = torch.randn(ROWS, OUTPUTS, dtype=dtype)
    found: list[list[Tensor]] = []
    assert products(lambda: found.append(outcome(linear(layer, rows), rows, layer, weights)), monkeypatch) == 1
    for value, expected in zip(found[0], outcome(layer(rows), rows, layer, weights), strict=True):
        scale = expected.abs().max().item()
        torch.testing.assert_close(value, expected, atol=tolerance * scale, rtol=0)


def outcome(out: Tensor, rows: Tensor, layer: nn.Linear, weights: Tensor) -> list[Tensor]:
    return [out, *torch.autograd.grad(out, (rows, layer.weight, layer.bias), weights)]


@pytest.mark.parametrize("learns", ["rows", "weight", "bias"])
def test_whatever_learns_has_its_gradient_where_the_rest_is_frozen(learns: str) -> None:
    layer, rows = nn.Linear(INPUTS, OUTPUTS, dtype=torch.float64), sparse_rows(0.03)
    leaves = {"rows": rows, "weight": layer.weight, "bias": layer.bias}
    for name, leaf in leaves.items():
        leaf.requires_grad_(name == learns)
    weights = torch.randn(ROWS, OUTPUTS, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad((out * weights).sum(), leaves[learns]) for out in (linear(layer, rows), layer(rows))
    )
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("why", ["dense", "few rows", "few weights", "no gradient", "vmap", "autocast"])
def test_the_product_is_taken_where_it_is_faster_or_shapes_may_not_follow_the_data(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = nn.Linear(INPUTS, 2 if why == "few weights" else OUTPUTS, dtype=torch.float64)
    rows = sparse_rows(0.2 if why == "dense" else 0.03)
    rows = rows[:100] if why == "few rows" else rows

    def action() -> Tensor:
        if why == "vmap":
            return torch.vmap(lambda part: linear(layer, part))(rows[None])[0]
        with torch.set_grad_enabled(why != "no gradient"), torch.autocast("cpu", enabled=why == "autocast"):
            return linear(layer, rows)

    assert products(action, monkeypatch) == 0


def test_entries_of_a_transposed_matrix() -> None:
    rows = sparse_rows(0.03).detach()
    entries, expected = Entries.of(rows).transposed(INPUTS), Entries.of(rows.T.contiguous())
    for name in ("columns", "values", "begin"):
        assert torch.equal(getattr(entries, name), getattr(expected, name))
