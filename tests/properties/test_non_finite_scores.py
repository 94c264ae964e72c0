"""Metrics of predictions that are not finite are not finite: for every task, and for those of other packages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.build import load
from harness.registry import methods, resolve, task, tasks
from tasks.symmetry.representation import Representation
from tasks.task import Probabilistic, SupervisedTask
from tests.harness.training.small_problems import EdgeCount

FEW = {"train": 6, "validation": 6, "test": 6}
SMALL: Mapping[str, dict[str, Any]] = {
    "nbody": FEW,
    "exp_classify": {"data": "generated"},
    "shapes_o3": {**FEW, "points": 6, "data": "generated"},
    "shapes_se3": {**FEW, "points": 6, "data": "generated"},
    "pattern": {**FEW, "nodes": 9, "data": "generated"},
    "peptides_func": {"nodes": 5},
    "peptides_struct": {"nodes": 5},
    "pcqm_contact": {"nodes": 5},
    **{f"teacher_graph_{kind}": {**FEW, "nodes": 6} for kind in ("invariant", "equivariant")},
    **{f"teacher_space_{kind}": {**FEW, "nodes": 4} for kind in ("invariant", "equivariant")},
}
SUPERVISED = [name for name, card in tasks().items() if issubclass(load(card.implementation), SupervisedTask)]

pytestmark = pytest.mark.usefixtures("small_molecules")


@cache
def problem(name: str) -> SupervisedTask:
    fitting = next(m for m in methods() if methods()[m].misfit(tasks()[name], tasks()[name].params) is None)
    spec = resolve(name, fitting, "quick", 0, task_params=SMALL.get(name))
    found: SupervisedTask = load(task(name).implementation)(task(name).settings_from(spec.task_params))
    return found


def predictions_for(found: SupervisedTask) -> Tensor:
    x, channels = found.data("test").inputs.outline, found.signature.output_channels
    shape = {
        Representation.GRAPH_SCALARS: (len(x),),
        Representation.NODE_SCALARS: (len(x), x.nodes),
        Representation.NODE_POINTS: (len(x), x.nodes, found.signature.dimension),
        Representation.NODE_VECTORS: (len(x), x.nodes, found.signature.dimension),
        Representation.EDGE_SCALARS: (len(x), x.nodes, x.nodes),
    }[found.signature.output]
    return torch.randn(*shape, channels)


def test_all_supervised_tasks_are_here() -> None:
    assert {"pcqm_contact", "peptides_func", "peptides_struct", "pattern", "nbody", "inner_symmetry"} < set(SUPERVISED)
    assert len(SUPERVISED) >= 10


@pytest.mark.parametrize("name", SUPERVISED)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_metric_of_what_is_not_finite_is_finite(name: str, value: float) -> None:
    """All predictions, those of one example, one number alone; finite ones are scored as before."""
    found = problem(name)
    targets, predictions = found.data("test").targets[:], predictions_for(found)
    scores = found.metrics(predictions, targets)
    assert task(name).metric in scores and math.isfinite(scores[task(name).metric])
    everything, example, entry = (predictions.clone() for _ in range(3))
    everything[:] = value
    example[1] = value
    entry.view(-1)[0] = value  # of the first node of the first example, which is always there
    for wrong in (everything, example, entry):
        broken = found.metrics(wrong, targets)
        assert broken.keys() == scores.keys()
        assert not any(map(math.isfinite, broken.values())), broken


class Deriving(EdgeCount):
    """Overrides metrics and adds to those of the task that it derives from."""

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return super().metrics(predictions, targets) | {"above": (predictions > targets).double().mean().item()}


class Scores:
    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        if predictions.isnan().any():
            raise ValueError("Input contains NaN.")  # as libraries do
        return {"rank": 1 + (predictions[0] < predictions).double().sum().item()}


class Mixed(Scores, EdgeCount):
    """Takes its metrics from a class that is no task."""


class Inheriting(Deriving):
    pass


class Outputs(EdgeCount, Probabilistic):
    """One more base class that says what tasks are."""

    def outputs(self, predictions: Tensor) -> Tensor:
        return predictions[..., 0]

    def losses(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets)[..., 0].square()


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (EdgeCount, {"mse"}),
        (Deriving, {"mse", "above"}),
        (Inheriting, {"mse", "above"}),
        (Mixed, {"rank"}),
        (Outputs, {"mse"}),
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_tasks_from_elsewhere_need_not_think_of_it(kind: type[SupervisedTask], names: set[str], value: float) -> None:
    found, predictions = kind({}), torch.randn(4, 1)
    targets = torch.randn(4, 1)
    assert all(map(math.isfinite, found.metrics(predictions, targets).values()))
    predictions[3] = value
    broken = found.metrics(predictions, targets)
    assert broken.keys() == names and all(map(math.isnan, broken.values()))
