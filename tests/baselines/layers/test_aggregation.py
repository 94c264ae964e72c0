"""Sums over neighbours on a sparse adjacency are those of the dense one, with their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.layers.aggregation import Edges, aggregated

MASK = torch.arange(5) < torch.tensor([5, 2, 1])[:, None]


def directed() -> Tensor:
    """Weighted edges that go one way, some of them loops."""
    noise = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 5, 5, generator=noise, dtype=torch.float64)
    exist = MASK[:, :, None] & MASK[:, None]
    return weights * exist * (torch.rand(3, 5, 5, generator=noise) < 0.5)


@pytest.mark.parametrize("isolated", [0, 1, 3])
def test_values_and_gradients_are_those_of_the_dense_adjacency(isolated: int) -> None:
    adjacency, rows = directed(), int(MASK.sum())
    whole = torch.zeros(rows + isolated, rows + isolated, dtype=torch.float64)
    whole[:rows, :rows] = torch.block_diag(*adjacency)[MASK.flatten()][:, MASK.flatten()]
    assert whole.diagonal().any() and not torch.equal(whole, whole.T)
    noise = torch.Generator().manual_seed(1)
    h = torch.randn(rows + isolated, 2, 3, generator=noise, dtype=torch.float64, requires_grad=True)
    eps = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    found, expected = (aggregated(h, one, eps) for one in (Edges.of(adjacency, MASK, isolated), whole))
    torch.testing.assert_close(found, expected)
    upstream = torch.randn(h.shape, generator=noise, dtype=torch.float64)
    mine, reference = (torch.autograd.grad(value, (h, eps), upstream) for value in (found, expected))
    torch.testing.assert_close(mine, reference)
