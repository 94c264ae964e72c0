"""Straight-through permutations against the plain way: dense matrices, log-space Sinkhorn kept for autograd.

Ratios within one process, printed: ``pytest -m benchmark -s tests/benchmarks/test_permutation_sampling.py``
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from baselines.catalogue.samplers import ProbabilisticSettings
from baselines.samplers.probabilistic import Relaxation
from harness.training.memory import peak_memory
from tasks.symmetry.groups import SymmetricGroup
from tasks.symmetry.sorting import sort_descending
from tasks.symmetry.structure import Structure
from tests.structures import random_graphs

pytestmark = pytest.mark.benchmark
BATCH, SAMPLES, NODES, TEMPERATURE, STEPS = 100, 10, 64, 0.01, 20
ROUNDS = 5


def plainly(scores: Tensor, x: Structure) -> tuple[Tensor, Tensor]:
    """P x and P A P^T with P = P_hard - stop_gradient(P_soft) + P_soft, word by word as in the paper's description."""
    mask = x.mask[:, None].expand_as(scores)
    scores = scores * mask
    scores = scores / scores.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    order = sort_descending(scores, mask)
    in_order = scores.gather(-1, order)
    logits = -(scores[:, :, None, :] - in_order[:, :, :, None]).abs() / TEMPERATURE
    pairs = mask[..., :, None] & mask[..., None, :]
    logits = logits.masked_fill(~pairs, -1e9)
    for _ in range(STEPS):
        for axis in (-1, -2):
            logits = (logits - logits.logsumexp(axis, keepdim=True)).masked_fill(~pairs, -1e9)
    soft = logits.exp()
    hard = torch.nn.functional.one_hot(order, NODES).to(soft.dtype)
    matrix = hard - soft.detach() + soft
    return matrix @ x.node_scalars[:, None], matrix @ x.adjacency[:, None] @ matrix.mT


def ours(scores: Tensor, x: Structure) -> tuple[Tensor, Tensor]:
    settings = ProbabilisticSettings(temperature=TEMPERATURE, sinkhorn_steps=STEPS)
    moved = x.acted(Relaxation(settings).permutation(SymmetricGroup(), x, scores).inverse())
    shape = (BATCH, SAMPLES, NODES)
    return moved.node_scalars.view(*shape, -1), moved.adjacency.view(*shape, NODES)


def seconds(action: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def problem(dtype: torch.dtype) -> tuple[Tensor, Structure]:
    x = random_graphs(BATCH, NODES, dtype=dtype)
    return torch.randn(BATCH, SAMPLES, NODES, dtype=dtype, requires_grad=True), x


def test_same_values_and_gradients_in_less_time_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    scores, x = problem(torch.float64)
    gradients = []
    for way in (plainly, ours):
        features, edges = way(scores, x)
        weights = torch.Generator().manual_seed(1)
        loss = (features * torch.randn(features.shape, generator=weights, dtype=torch.float64)).sum()
        loss = loss + (edges * torch.randn(edges.shape, generator=weights, dtype=torch.float64)).sum()
        gradients.append((features, edges, *torch.autograd.grad(loss, scores)))
    for plain, fast, tolerance in zip(*gradients, (1e-8, 1e-8, 1e-6), strict=True):
        torch.testing.assert_close(fast, plain, atol=tolerance, rtol=tolerance)

    scores, x = problem(torch.float32)

    def step(way: Callable[[Tensor, Structure], tuple[Tensor, Tensor]]) -> Callable[[], None]:
        def run() -> None:
            features, edges = way(scores, x)
            torch.autograd.grad(features.square().sum() + edges.square().sum(), scores)

        return run

    def evaluation(way: Callable[[Tensor, Structure], tuple[Tensor, Tensor]]) -> Callable[[], None]:
        @torch.no_grad()
        def run() -> None:
            way(scores, x)

        return run

    cpu = torch.device("cpu")
    with capsys.disabled():
        for name, kind in (("training", step), ("evaluation", evaluation)):
            slow, fast = seconds(kind(plainly)), seconds(kind(ours))
            large, small = peak_memory(kind(plainly), cpu), peak_memory(kind(ours), cpu)
            print(f"\n{name}: {slow:.3f} s plainly, {fast:.3f} s ours, {slow / fast:.1f} times faster; ", end="")
            print(f"{large / 2**20:.0f} MiB plainly, {small / 2**20:.0f} MiB ours, {large / small:.1f} times less")
