"""Batch normalisation in which one row stands for many: the numbers are those of the rows laid out one by one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from baselines.layers.batch_norm import BatchNorm
from baselines.q_networks import gin
from baselines.q_networks.gin import GINScorer
from tests.structures import random_graphs

CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def norm_of(seed: int, kind: type[nn.BatchNorm1d], channels: int) -> nn.BatchNorm1d:
    norm = kind(channels).double()
    with torch.no_grad():
        norm.weight.copy_(drawn(seed, channels))
        norm.bias.copy_(drawn(seed + 1, channels))
    return norm


@given(seed=st.integers(0, 1000), rows=st.integers(1, 6), samples=st.integers(1, 3), repeats=st.integers(1, 40))
@pytest.mark.parametrize("several_processes", [False, True])
def test_values_gradients_and_statistics(
    several_processes: bool, seed: int, rows: int, samples: int, repeats: int
) -> None:
    ours, theirs = norm_of(seed, BatchNorm, 4), norm_of(seed, nn.BatchNorm1d, 4)
    if several_processes:
        ours.total = lambda share: share  # type: ignore[assignment]
    x = drawn(seed + 2, rows + 1, samples, 4).requires_grad_()
    laid_out = torch.cat([x, x[-1:].expand(repeats - 1, -1, -1)])
    found, expected = ours(x, None, repeats), theirs(laid_out.flatten(0, 1)).view_as(laid_out)
    torch.testing.assert_close(found, expected[: rows + 1], **CLOSE)
    for statistic in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, statistic), getattr(theirs, statistic), **CLOSE)
    upstream = drawn(seed + 3, rows + 1, samples, 4)
    mine = torch.autograd.grad((found * upstream).sum(), (x, ours.weight, ours.bias))
    reference = torch.autograd.grad((expected[: rows + 1] * upstream).sum(), (x, theirs.weight, theirs.bias))
    for gradient, expected_gradient in zip(mine, reference, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("norm_padding", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 5])
def test_shapes_that_follow_the_data_change_nothing(
    padding: int, norm_padding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In training: scores, gradients and statistics, whether absent nodes are laid out or stand together in one row."""
    x = random_graphs(4, 6, padded=padding != 1).padded(6 + padding) if padding else random_graphs(4, 6)
    noise = torch.rand(4, 2, x.nodes, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = []
    for follows in (True, False):
        monkeypatch.setattr(gin, "may_follow_data", lambda values, follows=follows: follows)
        torch.manual_seed(1)
        scorer = GINScorer(2, 8, 3, input_linear=False, norm_padding=norm_padding).double().train()
        scores = scorer(x, noise)
        assert not scores[~x.mask[:, None].expand_as(scores)].any()
        scores.square().sum().backward()
        found.append((scores, [p.grad for p in scorer.parameters()], list(scorer.buffers())))
    (here, gradients, buffers), (there, others, other_buffers) = found
    torch.testing.assert_close(here, there, **CLOSE)
    torch.testing.assert_close(gradients, others, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(buffers, other_buffers, **CLOSE)


def test_padding_counts_only_where_it_is_asked_to() -> None:
    x = random_graphs(4, 6)
    noise = torch.rand(4, 2, 6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wider = torch.nn.functional.pad(noise, (0, 0, 0, 3), value=0.5)
    for norm_padding in (False, True):
        torch.manual_seed(1)
        scorer = GINScorer(2, 8, 3, norm_padding=norm_padding).double()
        same = torch.allclose(scorer.train()(x, noise), scorer.train()(x.padded(9), wider)[..., :6])
        assert same != norm_padding
        torch.testing.assert_close(scorer.eval()(x, noise), scorer.eval()(x.padded(9), wider)[..., :6])
