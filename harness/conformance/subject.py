"""A method on a problem: models, predictions, the tiny run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from baselines.build import build
from baselines.cards import MethodCard
from baselines.model import Model
from harness import registry
from harness.conformance.problems import FEW, Problem
from harness.errors import DoesNotFit
from harness.spec import RunSpec
from harness.training.execute import execute
from tasks.cards import TaskCard
from tasks.symmetry.structure import Signature, Structure

NOISE = 0.1
"""The standard deviation of what is added to all weights, so that none of them is zero."""


TINY: Mapping[str, Any] = {
    "epochs": 1,
    "max_steps": 2,
    "batch_size": 4,
    "drop_last": False,
    "compile": False,
    "train_size": FEW,
    "valid_size": FEW,
    "test_size": FEW,
    "train_samples": 2,
    "valid_samples": 2,
    "test_samples": 2,
    "test_repeats": 1,
    "curve_samples": (1, 2),
    "curve_size": 4,
    "initialisations": 2,
    "variance_samples": (),
    "analysis_epochs": (),
}
"""The settings of the tiny run."""


@dataclass(frozen=True)
class Subject:
    """A method on a problem, with settings that differ from the defaults."""

    method: MethodCard
    problem: Problem
    base: Mapping[str, Any] = field(default_factory=dict)
    sampler: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def spec(self) -> RunSpec:
        """The tiny run.

        Raises:
            DoesNotFit: The method does not fit the task.
        """
        card = self.problem.card
        protocol = "quick" if "quick" in card.protocols else next(iter(card.protocols))
        epochs = min(TINY["epochs"], card.protocols[protocol].epochs)
        with registered(card, self.method):
            spec = registry.resolve(
                card.name,
                self.method.name,
                protocol,
                0,
                task_params=self.problem.params,
                base=self.base,
                sampler=self.sampler,
                settings={**TINY, "epochs": epochs},
            )
        if reason := self.method.misfit(card, spec.task_params):
            raise DoesNotFit(f"{self.method.name} does not fit {card.name}: {reason}.")
        return spec

    def initial_model(self, seed: int = 0, signature: Signature | None = None) -> Model:
        """A model with the initial weights of a seed, in single precision."""
        torch.manual_seed(seed)
        symmetry = self.method.symmetrized_group(self.problem.card, self.spec.task_params)
        shapes = signature or self.problem.task.signature
        return build(self.method, shapes, symmetry, self.spec.base, self.spec.sampler)

    def model(self, seed: int = 0, signature: Signature | None = None) -> Model:
        """A model in float64 and evaluation mode whose weights and statistics are no longer the initial ones."""
        model = self.initial_model(seed, signature).double().train()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(NOISE * torch.randn_like(parameter))
            model(self.problem.inputs.padded(model_nodes(signature, self.problem)), 2)
        return model.eval()

    def numbers(self) -> Mapping[str, Any]:
        """The numbers of the tiny run, without its costs, some of which are times."""
        with registered(self.problem.card, self.method):
            outcome = asdict(execute(self.spec))
        return {name: outcome[name] for name in ("metrics", "curve", "output_variance", "notes")}


def model_nodes(signature: Signature | None, problem: Problem) -> int:
    """The number of nodes that a model is built for."""
    return (signature or problem.task.signature).nodes


def predicted(model: Model, x: Structure, samples: int = 1, seed: int = 0) -> Tensor:
    """The prediction of a model without gradients, with group samples from a seed."""
    with torch.no_grad():
        return model(x, samples, torch.Generator().manual_seed(seed)).value


def gradients_of(subject: Subject, model: Model) -> dict[str, Tensor | None]:
    """The gradients of the loss of a batch by the names of the weights, in training mode."""
    prediction = model.train()(subject.problem.inputs, 2, torch.Generator().manual_seed(0))
    objective = prediction.objective(subject.problem.loss(prediction.value))
    if objective.requires_grad:
        objective.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}


def gap(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value that is expected."""
    size = expected.abs().max().double().clamp_min(torch.finfo(torch.float32).tiny)
    return ((found.double() - expected.double()).abs().max() / size).item()


@contextmanager
def registered(task: TaskCard, method: MethodCard) -> Iterator[None]:
    """Inside, runs find these cards by their names, whether or not their packages are installed."""
    with registry.temporarily(task, method, origin="conformance suite"):
        yield
