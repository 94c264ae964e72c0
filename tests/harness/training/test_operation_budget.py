"""How many operators an accelerator has to start in one training step of the paper's main pairs.

Counted on the device ``meta``, from the noise to the gradients: a small network is as fast as its operators can be
started. Views cost nothing there and are not counted, nor is the optimiser, which is one kernel.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from harness.registry import resolve
from harness.spec import RunSpec
from harness.training.from_spec import initialised
from tasks.catalogue.geometry import NBodySettings
from tasks.nbody import NBody
from tasks.symmetry import sinkhorn
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tasks.task import SupervisedTask
from tests.harness.training.small_problems import EdgeCount
from tests.structures import random_graphs

META = torch.device("meta")
BUDGETS = {
    ("exp_classify", "mlp-ps"): 540,
    ("exp_classify", "gin_id-ps"): 580,
    ("nbody", "transformer-ps"): 1480,
    ("nbody", "gnn-ps"): 535,
}

pytestmark = pytest.mark.usefixtures("generated_data")


class Operators(TorchDispatchMode):
    """Counts the operators that compute something."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not (func.is_view or func is torch.ops.aten._unsafe_view.default)
        return func(*args, **(kwargs or {}))


def problem_of(spec: RunSpec) -> SupervisedTask:
    """Data of the shapes of ``spec``; EXP's graphs have up to 64 nodes."""
    if spec.task == "nbody":
        return NBody(NBodySettings(train=100, validation=1, test=1, data_seed=0))
    graphs = EdgeCount()
    graphs.signature = Signature.of(random_graphs(1, 64), Representation.GRAPH_SCALARS, 1)
    return graphs


def operators(task_name: str, method_name: str) -> int:
    """Of one training step."""
    spec = resolve(task_name, method_name, "paper", 0)
    problem, settings = problem_of(spec), spec.settings
    model = initialised(spec, problem).to(META).train()
    if spec.task == "nbody":
        inputs, targets = problem.data("train")[: settings.batch_size]
    else:
        inputs = random_graphs(settings.batch_size, 64, dtype=torch.float32)
        targets = torch.zeros(settings.batch_size, 1)
    x, y = inputs.to(META), targets.to(META)
    with Operators() as counted:
        prediction = model(x, settings.train_samples)
        objective: Tensor = prediction.objective(problem.loss(prediction.value, y))
        objective.backward()
    return counted.count


@pytest.mark.parametrize(("task_name", "method_name"), BUDGETS)
def test_a_training_step_starts_no_more_operators_than_its_budget(task_name: str, method_name: str) -> None:
    assert operators(task_name, method_name) <= BUDGETS[task_name, method_name]


def test_the_count_sees_what_matrices_save(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ("exp_classify", "mlp-ps")
    monkeypatch.setattr(sinkhorn, "ELSEWHERE", range(0))
    assert operators(*pair) > 3 * BUDGETS[pair]
