"""A training step never waits for its device, and compiles to one graph.

The device ``meta`` stands for an accelerator: it holds no numbers, so that an operator which has to look at some (an
``item``, a ``nonzero``, a shape that follows the data) fails there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from baselines.build import build
from baselines.model import Model
from harness.registry import method, methods, resolve, task
from harness.training.fit import Fit
from harness.training.outcome import Silence
from tasks.nbody import NBody
from tasks.protocol import Protocol
from tasks.task import SupervisedTask
from tests.harness.training.small_problems import EdgeCount

META = torch.device("meta")
WAITING = {
    "minimal_frame": "colours are refined until they are stable: a fixed number of rounds costs more than waiting",
    "gated_gcn": "lists of edges are as long as there are edges",
    "gps": "lists of edges are as long as there are edges",
}
PARTICLES = {"nodes": 5, "train": 12, "validation": 12, "test": 12, "data_seed": 0}
TASKS: dict[str, Callable[[], SupervisedTask]] = {
    "exp_classify": lambda: EdgeCount({}),
    "nbody": lambda: NBody(PARTICLES),
}
PAIRS = [
    (name, m)
    for name in TASKS
    for m, card in methods().items()
    if card.misfit(task(name), task(name).params) is None and not m.endswith(tuple(WAITING))
]
TINY = {"width": 12, "layers": 1, "widths": [8], "heads": 2, "sinkhorn_steps": 2}

pytestmark = pytest.mark.usefixtures("generated_data")


def small_model(task_name: str, problem: SupervisedTask, method_name: str) -> Model:
    card, spec = method(method_name), resolve(task_name, method_name, "quick", 0)
    base, sampler = (
        {**own, **{name: v for name, v in TINY.items() if name in own}} for own in (spec.base, spec.sampler)
    )
    return build(card, problem.signature, card.symmetrized_group(task(task_name), spec.task_params), base, sampler)


def fit(task_name: str, method_name: str, device: torch.device, **settings: Any) -> Fit:
    problem = TASKS[task_name]()
    model = small_model(task_name, problem, method_name).to(device).train()
    protocol = Protocol(**{"epochs": 2, "batch_size": 4, "train_samples": 2, "clip_norm": 0.1, **settings})
    return Fit(model, problem, protocol, seed=0, device=device, dtype=torch.float32, hooks=Silence())


class NothingCrosses(TorchDispatchMode):
    """Fails where a tensor is copied between the host and the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves((args, kwargs, out)) if isinstance(value, Tensor)]
        assert {value.device.type for value in tensors} <= {"meta"}, f"{func} on the host"
        return out


@pytest.mark.parametrize(("task_name", "method_name"), PAIRS)
def test_a_step_does_not_look_at_numbers(task_name: str, method_name: str) -> None:
    ready = fit(task_name, method_name, META)
    order = torch.arange(12, device=META)
    values = ready.step(ready.train[order[:4]], None)
    assert all(value.device == META for value in values.values())
    with NothingCrosses():
        prediction = ready.model(*ready.train[order[:4]][:1], 2, None)
        ready.task.loss(prediction.value, ready.train.targets[order[:4]]).backward()


@pytest.mark.parametrize("name", ["item", "nonzero", "copy"])
def test_the_check_sees_what_waits(name: str) -> None:
    x = torch.ones(3, device=META)
    waits: dict[str, Callable[[], object]] = {
        "item": lambda: bool(x.sum() > 0),
        "nonzero": lambda: x[x > 0],
        "copy": lambda: torch.arange(3).to(META),
    }
    with NothingCrosses(), pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
        waits[name]()


class Items(TorchDispatchMode):
    """Counts how often a number is read off a tensor."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_an_epoch_waits_once_whatever_the_number_of_its_steps() -> None:
    counts = {}
    for batch in (4, 20):
        ready = fit("exp_classify", "mlp-learned", torch.device("cpu"), batch_size=batch)
        ready.step = lambda *_: {"loss": torch.ones(()), "entropy": torch.ones(())}  # type: ignore[method-assign]
        with Items() as items:
            ready._train_epoch(0)
        counts[batch] = items.count
    assert counts == {4: 2, 20: 2}  # one for each of the two means


@pytest.mark.parametrize(
    ("task_name", "method_name", "backend"),
    [
        ("exp_classify", "mlp-learned", "aot_eager"),
        ("exp_classify", "gin_id-learned", "eager"),
        ("nbody", "transformer-learned", "eager"),
        ("nbody", "gnn-learned", "aot_eager"),
        ("nbody", "egnn", "aot_eager"),
        ("nbody", "fa_gnn", "eager"),
    ],
)
def test_a_step_is_one_graph(task_name: str, method_name: str, backend: str) -> None:
    """Compiled whole (a graph break is an error), with the loss and the gradients of eager mode.

    ``aot_eager`` traces the backward pass too, which takes longer.
    """
    problem = TASKS[task_name]()
    model = small_model(task_name, problem, method_name).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # a compiled dropout draws other numbers
    inputs, targets = problem.data("train")[:3]

    def loss() -> Tensor:
        prediction = model(inputs, 2)
        value = problem.loss(prediction.value, targets)
        return value if prediction.penalty is None else value + prediction.penalty

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    found: list[list[Tensor | None]] = []
    for step in (loss, compiled):
        torch.manual_seed(1)
        model.zero_grad(set_to_none=True)
        value = step()
        value.backward()
        found.append([value.detach(), *(parameter.grad for parameter in model.parameters())])
    torch.testing.assert_close(found[1], found[0], atol=1e-4, rtol=1e-3)
