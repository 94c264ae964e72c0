"""What a spec describes: the symmetry group, the monitored number and the model of its run."""

from __future__ import annotations

import torch

from baselines.build import build
from baselines.model import Model
from harness.registry import method, task
from harness.spec import RunSpec
from harness.training.monitor import Monitor
from harness.training.seeds import derive
from tasks.symmetry.groups import Group, group
from tasks.symmetry.structure import Signature
from tasks.task import Task


def group_of(spec: RunSpec) -> Group:
    """Returns the symmetry group of the run's task."""
    return group(task(spec.task).group_of(spec.task_params))


def monitor_of(spec: RunSpec) -> Monitor:
    """Returns the number by which the run selects its weights."""
    return Monitor.of(task(spec.task), spec.settings)


def new_model(spec: RunSpec, signature: Signature) -> Model:
    """Returns the model of ``spec``, initialised from torch's global generator."""
    card, task_card = method(spec.method), task(spec.task)
    symmetry = card.symmetrized_group(task_card, spec.task_params)
    model = build(card, signature, symmetry, spec.base, spec.sampler, card.hidden(task_card))
    model.mixed_precision, model.compiles = spec.settings.precision == "bfloat16", spec.settings.compile
    return model


def initialised(spec: RunSpec, problem: Task) -> Model:
    """Returns the model of ``spec`` for ``problem`` with the initial weights of its seed, on the CPU."""
    torch.manual_seed(derive(spec.seed, "initialisation"))
    return new_model(spec, problem.signature)
