"""What a run's settings stand for: its history, metrics and curve, by their numbers, with every stream of chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.build import build
from baselines.catalogue import MLP
from baselines.model import Model
from harness.registry import method, resolve
from harness.training.context import RunContext
from harness.training.execute import execute
from harness.training.results import Outcome
from harness.training.seeds import derive
from harness.verification import universality
from harness.verification.equivariance import equivariance, law
from harness.verification.universality import errors_of, examples
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tests.harness.training.test_paired import EASY, HARD, comparisons
from tests.harness.training.test_separation import History, separation
from tests.pins import Made, assert_pinned
from tests.properties.test_samplers_on_groups import structures_for, symmetrized
from tests.structures import random_graphs

TASKS = {"teacher_graph_invariant": {"nodes": 5}, "teacher_space_equivariant": {"nodes": 4}}
LONG: Mapping[str, Any] = {
    "epochs": 4,
    "batch_size": 12,
    "train_samples": 2,
    "valid_samples": 3,
    "test_samples": 3,
    "test_repeats": 2,
    "curve_samples": [1, 2],
    "curve_size": 8,
    "precision": "float64",
}
DECAYING = {
    "optimizer": "adamw",
    "weight_decay": 0.1,
    "schedule": "linear",
    "warmup_epochs": 1,
    "clip_norm": 0.5,
    "validate_every": 2,
    "drop_last": True,
    "max_steps": 11,
    "analysis_epochs": [0, 2],
}
CONSTANT = {"schedule": "constant", "warmup_epochs": 0, "clip_norm": None, "monitor": "metric", "validate_every": 1}
RUNS: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "learned on graphs": ("teacher_graph_invariant", "mlp-ps", DECAYING),
    "averaged on graphs": ("teacher_graph_invariant", "mlp-ga", CONSTANT),
    "equivariant on graphs": ("teacher_graph_invariant", "gin", CONSTANT),
    "learned in space": ("teacher_space_equivariant", "mlp-ps", CONSTANT),
    "without symmetry in space": ("teacher_space_equivariant", "mlp-none", DECAYING),
}


class Rows:
    def __init__(self) -> None:
        self.values: list[float] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.values += [float(step), *(values[name] for name in sorted(values))]


def scores(outcome: Outcome) -> Iterator[float]:
    yield from (outcome.metrics[name] for name in sorted(outcome.metrics))
    for point in outcome.curve:
        yield from (point.value, point.value_error, point.variance, point.equivariance)


def of_run(task: str, name: str, settings: Mapping[str, Any]) -> Iterator[Tensor]:
    sizes = {"train": 40, "validation": 20, "test": 20}
    small = {"base": {"widths": [16]}} if name.startswith("mlp") else {}
    spec = resolve(task, name, "quick", 3, task_params={**sizes, **TASKS[task]}, settings={**LONG, **settings}, **small)
    rows = Rows()
    outcome = execute(spec, RunContext.of(spec, hooks=rows))
    yield torch.tensor([*rows.values, *scores(outcome)], dtype=torch.float64)


def of_separation(name: str) -> Iterator[Tensor]:
    history = History()
    run = separation(name, hooks=history, threshold=0.05)
    curve = [value for point in run.curve() for value in (point.value, point.value_error, point.variance)]
    run.metrics()
    counts = [values[name] for values in history.counts for name in sorted(values)]
    yield torch.tensor([*curve, *counts], dtype=torch.float64)


def of_comparisons(name: str) -> Iterator[Tensor]:
    run = comparisons(name, {**HARD, **EASY}, epochs=2)
    run.metrics()
    yield torch.tensor(run.statistics, dtype=torch.float64)


def of_checks(kind: str, names: tuple[str, ...]) -> Iterator[Tensor]:
    symmetry = group(names)
    x = structures_for(symmetry)
    model = symmetrized(kind, symmetry, x)
    g = symmetry.random(x, 1, torch.Generator().manual_seed(1))
    error, found = equivariance(model, x, g, model.output, (1, 4, 16), 6), law(model.sampler, x, x.acted(g), g, 60)
    yield torch.tensor([*error.errors, error.slope, error.slope_error, error.bias], dtype=torch.float64)
    yield torch.tensor([found.statistics, found.p_value], dtype=torch.float64)


def student(signature: Signature) -> Model:
    torch.manual_seed(0)
    params = {**MLP.params, "widths": [8]}
    return build(method("mlp-ga"), signature, ("S_n",), params, {}).float()


def of_students() -> Iterator[Tensor]:
    """Inputs, targets and, after two stretches of one step, the errors."""
    x, symmetry = random_graphs(6, 6), group(("S_n",))
    signature = Signature.of(x, Representation.NODE_SCALARS, 1)
    found = examples(x, symmetry, signature, torch.Generator().manual_seed(0))
    yield from (found.inputs.node_scalars, found.inputs.edge_scalars, found.targets)
    shapes = Signature.of(found.inputs, Representation.NODE_SCALARS, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(universality, "STEPS", 2)
        patch.setattr(universality, "CHECK_EVERY", 1)
        yield errors_of(student(shapes), found, symmetry, shapes.output, 0)


def of_seeds() -> Iterator[Tensor]:
    purposes = [(0,), (1,), (0, "noise", 1), (1, "noise", 0), (0, "noise", 10), (0, "noise1", 0)]
    yield torch.tensor([derive(*purpose) / 2**63 for purpose in purposes], dtype=torch.float64)


MADE: Made = {
    **{name: partial(of_run, *run) for name, run in RUNS.items()},
    **{f"separation by {name}": partial(of_separation, name) for name in ("mlp-ga", "gin")},
    "comparisons by mlp-ga": partial(of_comparisons, "mlp-ga"),
    "checks on graphs": partial(of_checks, "ga", ("D_n",)),
    "checks in space": partial(of_checks, "ga", ("S_n", "E(3)")),
    "students": of_students,
    "seeds": of_seeds,
}


@pytest.mark.parametrize("name", MADE)
def test_the_same_settings_always_give_the_same(name: str) -> None:
    assert_pinned(MADE, name)
