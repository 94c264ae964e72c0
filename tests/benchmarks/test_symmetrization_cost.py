"""What symmetrization costs on top of its base model: ratios within one process, printed.

``pytest -m benchmark -s tests/benchmarks/test_symmetrization_cost.py``
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from baselines.build import build
from baselines.symmetrized import Symmetrized
from harness.registry import method, resolve, task
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_particles

pytestmark = pytest.mark.benchmark
ROUNDS = 7


def symmetrized(task_name: str, method_name: str, x: Structure) -> Symmetrized:
    spec, card = resolve(task_name, method_name, "paper", 0), method(method_name)
    signature = Signature.of(x, Representation(task(task_name).output), 1)
    model = build(card, signature, card.symmetrized_group(task(task_name), spec.task_params), spec.base, spec.sampler)
    assert isinstance(model, Symmetrized)
    return model.train()


def seconds(step: Callable[[], None], other: Callable[[], None]) -> tuple[float, float]:
    """The best time of each, taken in turns so that both see the same machine."""
    times: dict[Callable[[], None], list[float]] = {step: [], other: []}
    for action in [step, other] * (ROUNDS + 1):
        start = time.perf_counter()
        action()
        times[action].append(time.perf_counter() - start)
    return min(times[step][1:]), min(times[other][1:])


@pytest.mark.parametrize(
    ("task_name", "method_name", "samples"),
    [("exp_classify", "mlp-ps", 10), ("nbody", "transformer-ps", 20)],
)
def test_a_training_step_against_the_bare_base_models(
    task_name: str, method_name: str, samples: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """B = 100, the paper's networks, samples and optimiser; the base model takes the same B * k inputs."""
    x = random_particles(100, 5, dtype=torch.float32) if task_name == "nbody" else sparse_graphs(100, 64)
    model = symmetrized(task_name, method_name, x)
    with torch.no_grad():
        element = model.sampler(x, model.sampler.noise(x, samples, None)).element
        inputs = x.acted(element.inverse())

    clip = resolve(task_name, method_name, "paper", 0).settings.clip_norm
    whole, part = (torch.optim.Adam(module.parameters(), lr=1e-6) for module in (model, model.base))

    def step() -> None:
        whole.zero_grad()
        prediction = model(x, samples)
        assert prediction.penalty is not None
        (prediction.value.square().mean() + prediction.penalty).backward()
        update(model, whole, clip)

    def bare() -> None:
        part.zero_grad()
        model.base(inputs).square().mean().backward()
        update(model.base, part, clip)

    ours, base = seconds(step, bare)
    with capsys.disabled():
        print(f"\n{method_name} on {task_name}: {ours:.3f} s a step, base {base:.3f} s, ratio {ours / base:.2f}")
    assert ours > 0


def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, clip: float | None) -> None:
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()


def sparse_graphs(batch: int, nodes: int) -> Structure:
    """Graphs as sparse as those of EXP: about five directed edges for two nodes."""
    dense = random_graphs(batch, nodes, dtype=torch.float32)
    keep = (torch.rand(batch, nodes, nodes) < 0.1).triu(1)
    edges = dense.edge_scalars * (keep | keep.mT)[..., None]
    return Structure.build(dense.mask, node_scalars=dense.node_scalars, edge_scalars=edges)
