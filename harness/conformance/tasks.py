"""Checks of tasks: data, splits, targets, metrics, and a tiny run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import combinations
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from baselines.build import load
from baselines.cards import MethodCard
from baselines.catalogue import METHODS
from harness.conformance.check import Check, Fault
from harness.conformance.methods import run_fault
from harness.conformance.networks import existing, output_shape
from harness.conformance.problems import Problem
from harness.conformance.subject import Subject, gap
from harness.plugins.card_checks import task_fault
from harness.plugins.card_functions import guarded
from harness.training.kinds import kind_of
from harness.training.seeds import generator
from harness.utils.text import nearest
from tasks.cards import TaskCard, stricter
from tasks.symmetry.groups import group
from tasks.symmetry.structure import Structure
from tasks.task import Dataset, Split, SupervisedTask, Task

SPLITS: tuple[Split, ...] = get_args(Split)
MOST = 200
"""The most examples of a split that are looked at."""

LEAKED = 0.05
"""The share of examples that two splits may have in common: small graphs may be equal by chance."""

CLOSE = 1e-4
"""The relative difference of losses in single precision that should agree up to rounding."""

CPU = torch.device("cpu")
FIELDS: Mapping[str, str] = {
    "node_scalars": "node_scalars",
    "edges": "edge_scalars",
    "points": "points",
    "vectors": "vectors",
}
Function = Callable[[Structure], Tensor]
Property = Callable[[Problem], Fault]


def task_checks(
    problem: Problem, targets: Function | None, method: MethodCard | None, settings: Mapping[str, Any]
) -> Iterator[Check]:
    """The checks of a task.

    Args:
        problem: The task with its settings.
        targets: Computes the targets of structures; None if there is no such function.
        method: The method of the tiny run; None takes a built-in one that fits.
        settings: The settings of the method's base model.
    """
    card = problem.card

    def check(name: str, fault: Callable[[], Fault]) -> Check:
        return Check(card.name, name, fault)

    yield check("card", lambda: task_fault(guarded(card, "under test"), METHODS))
    for name, fault in PROPERTIES.items():
        yield check(name, partial(fault, problem))
    if targets is not None:
        yield check("targets are equivariant", partial(function_fault, problem, targets))
    yield check("tiny run", lambda: run_fault(Subject(method or fitting_method(problem), problem, base=settings)))


def fitting_method(problem: Problem) -> MethodCard:
    """The first built-in method that fits, preferably a perceptron with group averaging."""
    fitting = [one for one in METHODS if one.misfit(problem.card, problem.all_params) is None]
    preferred = [one for one in fitting if one.name in ("mlp-ga", "mlp-none")]
    if not fitting:
        raise LookupError("no built-in method fits: give one of yours as method=")
    return (preferred or fitting)[0]


def splits_of(task: Task) -> Mapping[Split, Dataset]:
    """The first examples of every split of a supervised task; nothing for others."""
    if not isinstance(task, SupervisedTask):
        return {}
    return {split: task.data(split).first(MOST) for split in SPLITS}


def structures_of(task: Task) -> Iterator[tuple[str, Structure]]:
    """The first structures of every split with its name."""
    if not (splits := splits_of(task)):
        whole = kind_of(task).inputs(task)
        yield "the data", whole[: min(MOST, len(whole))]
    for split, data in splits.items():
        yield f"the {split} split", data.inputs[:]


def inputs_fault(problem: Problem) -> Fault:
    """Checks structures: kinds of inputs and shapes as the card and the signature say, finite, zero where absent."""
    card, signature = problem.card, problem.task.signature
    kind_of(problem.task).check_examples(problem.task)
    if signature.output.value != card.output:
        return f"the output of the signature is {signature.output.value}, and that of the card {card.output}"
    if signature.nodes > (most := card.max_nodes_of(problem.all_params)):
        return f"structures have {signature.nodes} nodes, and max_nodes of the card is {most}"
    for where, x in structures_of(problem.task):
        if fault := _structure_fault(card, x):
            return f"{where} {fault}"
        if x.nodes != signature.nodes:
            return f"{where} has structures of {x.nodes} nodes, and the signature says {signature.nodes}"
        if not (signature.padded or x.mask.all()):
            return f"{where} has absent nodes, and the signature says that it is not padded"
        for name in FIELDS.values():
            channels = getattr(x, name).shape[-1]
            if channels != getattr(signature, name):
                return f"{where} has {channels} channels of {name}, and the signature says {getattr(signature, name)}"
    return None


def _structure_fault(card: TaskCard, x: Structure) -> Fault:
    for kind, name in FIELDS.items():
        values = getattr(x, name)
        if bool(values.shape[-1]) != (kind in card.inputs):
            has, says = ("has", "does not name") if values.shape[-1] else ("has no", "names")
            return f"{has} {kind}, which the card {says} among its inputs"
        if values.dtype is not torch.float32:
            return f"has {name} in {values.dtype}, and data should be in float32"
        exists = x.pair_mask if name == "edge_scalars" else x.mask
        if values[~exists].any():
            return f"has {name} of absent nodes that are not zero"
    if (x.mask[:, 1:] & ~x.mask[:, :-1]).any():
        return "has an absent node before one that exists: existing nodes come first"
    return None


def sizes_fault(problem: Problem) -> Fault:
    """Checks that the splits have as many examples as the card says."""
    said = problem.card.examples(problem.card.settings_from(problem.all_params))
    for split, data in _datasets(problem.task).items():
        if len(data) != len(data.targets):
            return f"the {split} split has {len(data)} structures and {len(data.targets)} targets"
        if (number := said.get(split, len(data))) != len(data):
            return f"the {split} split has {len(data)} examples, and the card says {number}"
    return None


def _datasets(task: Task) -> Mapping[Split, Dataset]:
    return {split: task.data(split) for split in SPLITS} if isinstance(task, SupervisedTask) else {}


def overlap_fault(problem: Problem) -> Fault:
    """Checks that splits have no examples in common, if anything is trained."""
    if all(protocol.epochs == 0 for protocol in problem.card.protocols.values()):
        return None
    found = {split: _rows(data) for split, data in splits_of(problem.task).items()}
    for first, second in combinations(found, 2):
        common = np.isin(found[second], found[first]).sum()
        if common > LEAKED * min(len(found[first]), len(found[second])):
            return f"{common} of {len(found[second])} examples of the {second} split are in the {first} split too"
    return None


def _rows(data: Dataset) -> np.ndarray[Any, Any]:
    """The bytes of each example ``[M]``: inputs and targets."""
    x, targets = data.inputs[:], data.targets[:]
    parts = (x.mask, x.node_scalars, x.points, x.vectors, x.edge_scalars, targets)
    rows = torch.cat([part.flatten(1).float() for part in parts], 1).contiguous().numpy()
    return rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]


def determinism_fault(problem: Problem) -> Fault:
    """Checks that the data depends on the settings alone."""
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        made.append(load(problem.card.implementation)(problem.card.settings_from(problem.all_params)))
    for (where, one), (_, other) in zip(*map(structures_of, made), strict=True):
        for name in ("mask", *FIELDS.values()):
            if not torch.equal(getattr(one, name), getattr(other, name)):
                return (
                    f"{where} has other {name} when the task is made again: draw random numbers from a seed of its own"
                )
    for split, data in splits_of(made[0]).items():
        if not torch.equal(data.targets[:].nan_to_num(), made[1].data(split).first(MOST).targets[:].nan_to_num()):
            return (
                f"the {split} split has other targets when the task is made again: draw them from a seed of their own"
            )
    return None


def targets_fault(problem: Problem) -> Fault:
    """Checks that targets have axes on which the group can act, and that loss and metrics do not change if it does."""
    task, signature = problem.task, problem.task.signature
    if not isinstance(task, SupervisedTask):
        return None
    data = splits_of(task)["test"]
    x, targets = data.inputs[:].to(CPU, torch.float64), data.targets[:].double()
    axes = output_shape(signature, len(x))
    if targets.shape[:-1] != axes[:-1]:
        shape = f"[{', '.join(map(str, axes[:-1]))}, C]"
        return f"targets of {signature.output.value} should have the shape {shape}, not {list(targets.shape)}"
    noise = generator(CPU, 0, "conformance")
    predictions = torch.randn(axes, generator=noise, dtype=torch.float64) * existing(x, signature.output)
    g = group(problem.group).random(x, 1, noise)
    moved = [g.act(values[:, None], signature.output)[:, 0] for values in (predictions, targets)]
    before, after = (scores(task, *pair) for pair in ((predictions, targets), moved))
    for name, value in before.items():
        if abs(after[name] - value) > CLOSE * max(abs(value), 1e-3):
            acts = " x ".join(problem.group)
            return f"{name} changes from {value:.4g} to {after[name]:.4g} if {acts} acts on predictions and targets"
    return None


def scores(task: SupervisedTask, predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """The loss and the metrics of predictions."""
    found = {name: value for name, value in task.metrics(predictions, targets).items() if value == value}
    return {"the loss": task.loss(predictions, targets).item(), **found}


def metric_fault(problem: Problem) -> Fault:
    """Checks the names of metrics, and that the loss is a finite scalar with a gradient."""
    card, task, signature = problem.card, problem.task, problem.task.signature
    if not isinstance(task, SupervisedTask):
        return None
    data = splits_of(task)["test"]
    x, targets = data.inputs[:], data.targets[:]
    predictions = torch.randn(output_shape(signature, len(x)), generator=torch.Generator().manual_seed(0))
    predictions = (predictions * existing(x, signature.output)).requires_grad_()
    known = list(task.metrics(predictions.detach(), targets))
    if card.metric not in known:
        return (
            f"the metric of the card is '{card.metric}', which the task does not return: {nearest(card.metric, known)}"
        )
    if card.control is not None and card.control not in (*known, *stricter(card.metric)):
        hint = nearest(card.control, [*known, *stricter(card.metric)])
        return f"the control of the card is '{card.control}', which the task does not return: {hint}"
    loss = task.loss(predictions, targets)
    if loss.dim() or not loss.isfinite():
        return f"the loss of a batch should be a finite scalar, not {loss.detach()}"
    if not loss.requires_grad:
        return "the loss has no gradient: compute it from the predictions by operations of torch"
    loss.backward()
    if predictions.grad is None or not predictions.grad.isfinite().all():
        return "the gradient of the loss is not finite"
    return None


def direction_fault(problem: Problem) -> Fault:
    """Checks that predictions equal to the targets score no worse than random ones, where they have the same shape."""
    card, task, signature = problem.card, problem.task, problem.task.signature
    if not isinstance(task, SupervisedTask):
        return None
    data = splits_of(task)["test"]
    x, targets = data.inputs[:], data.targets[:]
    if targets.shape != output_shape(signature, len(x)) or not targets.isfinite().all():
        return None
    random = torch.randn(targets.shape, generator=torch.Generator().manual_seed(0)) * targets.abs().amax().clamp_min(1)
    right, wrong = (task.metrics(values, targets).get(card.metric, torch.nan) for values in (targets, random))
    if right < wrong if card.direction == "max" else right > wrong:
        numbers = f"targets score {right:.3g} and random numbers {wrong:.3g}"
        return f"the direction of the metric {card.metric} is {card.direction}, and {numbers}"
    return None


def function_fault(problem: Problem, targets: Function) -> Fault:
    """Checks that the function gives the targets of the data, and that it is equivariant."""
    task, output = problem.task, problem.task.signature.output
    data = splits_of(task)["test"]
    x = data.inputs[:].to(CPU, torch.float64)
    found, known = targets(x), data.targets[:].double()
    if found.shape != known.shape or (error := gap(found, known)) > CLOSE:
        return "the function does not give the targets of the test split"
    g = group(problem.group).random(x, 1, generator(CPU, 0, "conformance"))
    error = gap(targets(x.acted(g)), g.act(found[:, None], output)[:, 0])
    if error > CLOSE:
        return f"targets do not transform under {' x '.join(problem.group)}: they differ by {error:.0e}"
    return None


PROPERTIES: Mapping[str, Property] = {
    "inputs": inputs_fault,
    "sizes of splits": sizes_fault,
    "no example in two splits": overlap_fault,
    "determinism": determinism_fault,
    "metrics and loss": metric_fault,
    "targets": targets_fault,
    "direction": direction_fault,
}
