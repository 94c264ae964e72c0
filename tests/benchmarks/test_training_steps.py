"""Training steps of the paper's main pairs against those of their bare base models: ratios within one process, printed.

``pytest -m benchmark -s tests/benchmarks/test_training_steps.py``

The bare base model is the published network made of torch's and PyG's own layers, with torch's plain Adam, on as many
inputs: every sample of every structure is an input of its own, edges, padding and zeros included. Beside that stands
the ratio to our own base model, which shares all that makes ours faster: it tells what symmetrization adds.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from baselines.bases.gin_id import GINID
from baselines.bases.gnn import GNN, MessagePassing, all_pairs
from baselines.bases.mlp import MLP
from baselines.bases.transformer import EncoderLayer, PairTransformer
from baselines.symmetrized import Symmetrized
from harness.registry import resolve
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.device import deterministic
from harness.training.execute import problem_of
from harness.training.fit import optimizer, optimizer_step
from harness.training.memory import keep_freed_memory
from harness.training.seeds import generator
from harness.training.supervised import new_fit
from tasks.symmetry.element import Element
from tasks.symmetry.structure import Structure
from tasks.task import SupervisedTask

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("generated_data")]
CPU = torch.device("cpu")
ROUNDS = 7
BOUNDS = {
    ("exp_classify", "mlp-ps"): 1.15,
    ("exp_classify", "gin_id-ps"): 2.0,
    ("nbody", "transformer-ps"): 1.12,
    ("nbody", "transformer-ga"): 1.05,
    ("nbody", "gnn-ps"): 1.15,
    ("nbody", "gnn-ga"): 1.05,
}
"""The largest ratio of a step to that of the bare base model."""

Step = Callable[[], None]


@pytest.fixture(autouse=True)
def as_in_a_worker() -> Iterator[None]:
    keep_freed_memory()
    with deterministic(CPU):
        yield


@pytest.mark.parametrize(("task_name", "method_name"), BOUNDS)
def test_a_training_step_against_the_bare_base_model(
    task_name: str, method_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = small(task_name, method_name)
    whole, own, bare = steps(spec)
    seconds = in_turns([whole, own, bare])
    to_bare, to_own = (ratio(seconds[0], other) for other in (seconds[2], seconds[1]))
    with capsys.disabled():
        print(
            f"\n{method_name} on {task_name}: {statistics.median(seconds[0]):.3f} s a step, {to_bare:.2f} of the bare "
            f"base model's (at most {BOUNDS[task_name, method_name]}), {to_own:.2f} of our own base model's"
        )
    assert to_bare <= BOUNDS[task_name, method_name]


def small(task_name: str, method_name: str) -> RunSpec:
    """The published settings on as many examples as a step takes."""
    sizes = {"train": 100, "validation": 10, "test": 10} if task_name == "nbody" else {}
    return resolve(task_name, method_name, "paper", 0, task_params=sizes)


def in_turns(actions: list[Step]) -> list[list[float]]:
    """Seconds of each in every round but the first."""
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(ROUNDS + 1):
        for action, taken in zip(actions, seconds, strict=True):
            start = time.perf_counter()
            action()
            taken.append(time.perf_counter() - start)
    return [taken[1:] for taken in seconds]


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds, so that both see the same machine."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def steps(spec: RunSpec) -> tuple[Step, Step, Step]:
    """A step of the training, and of its base model alone: as we compute it, and as torch's layers do."""
    problem = problem_of(spec)
    assert isinstance(problem, SupervisedTask)
    fit = new_fit(spec, problem, RunContext.of(spec))
    model, noise = fit.model.train(), generator(CPU, 0, "noise")
    assert isinstance(model, Symmetrized)
    batch = fit.train[torch.arange(spec.settings.batch_size)]
    x = batch[0]
    with torch.no_grad():
        element = model.sampler(x, model.noise(x, spec.settings.train_samples, noise)).element
        inputs = model.base.pullback(x, element)
    plain = plain_network(model.base, x, element)
    parameters = list(model.base.parameters())
    fused = optimizer(parameters, spec.settings)
    adam = torch.optim.Adam(parameters, lr=spec.settings.lr, weight_decay=spec.settings.weight_decay)

    def whole() -> None:
        fit.step(batch, noise)

    def own() -> None:
        optimizer_step(fused, model.base(inputs).square().mean(), parameters, spec.settings.clip_norm)

    def bare() -> None:
        optimizer_step(adam, plain().square().mean(), parameters, spec.settings.clip_norm)

    return whole, own, bare


def plain_network(base: nn.Module, x: Structure, element: Element) -> Callable[[], Tensor]:
    """The network with the weights of ``base`` on B * K inputs, of torch's and PyG's layers alone."""
    moved = x.acted(element.inverse())
    if isinstance(base, MLP):
        row = torch.cat([moved.node_scalars.flatten(1), moved.edge_scalars.flatten(1)], 1)
        return lambda: base.layers(row)
    if isinstance(base, GINID):
        identifiers = torch.eye(x.nodes) * moved.mask[..., None]
        features = torch.cat([moved.node_scalars, identifiers], -1)
        return lambda: base.gin(replace(moved, node_scalars=features))
    base = copy.deepcopy(base, {id(parameter): parameter for parameter in base.parameters()})
    if isinstance(base, PairTransformer):
        for layer in base.encoder.layers:
            layer.__class__ = OnAllTokens
    elif isinstance(base, GNN):
        for layer in base.layers:
            layer.__class__ = OnPairs
    return lambda: base(moved)


class OnAllTokens(EncoderLayer):
    """The layer of torch, which computes every token."""

    forward = nn.TransformerEncoderLayer.forward
    _sa_block = nn.TransformerEncoderLayer._sa_block

    def at(self, x: Tensor, tokens: slice, bias: Tensor | None) -> Tensor:
        return self.forward(x, src_key_padding_mask=bias)[:, tokens]


class OnPairs(MessagePassing):
    """The layer as it is written: its edge network reads the features of both ends of every pair."""

    def forward(self, h: Tensor, x: Structure, pairs: Tensor) -> Tensor:
        messages = self.edge(torch.cat([all_pairs(h), x.edge_scalars], -1))
        return self.node(torch.cat([h, (messages * pairs).sum(2)], -1))
