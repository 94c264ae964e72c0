"""bfloat16: every family learns in it, the base network alone computes in it, and nothing is measured in it."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from baselines.symmetrized import Symmetrized
from harness.registry import methods, resolve, task, tasks
from harness.spec import RunSpec
from harness.training.context import RunContext
from harness.training.device import deterministic
from harness.training.execute import problem_of
from harness.training.fit import Fit, FitState
from harness.training.from_spec import new_model
from harness.training.stacked import StackedFit
from harness.training.supervised import new_fit
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Structure
from tasks.task import SupervisedTask
from tests.harness.training.small_problems import EdgeCount

pytestmark = pytest.mark.usefixtures("generated_data")
CPU = torch.device("cpu")
EXAMPLES = {"train": 40, "validation": 40, "test": 20}
NARROW = {name: {"layers": 1, "width": 8, "heads": 1} for name in ("transformer", "vit")}
SAMPLERS = ("ga", "fa", "canonical", "ps", None)


def families(task_name: str) -> list[str]:
    """Methods of every base model and sampler that fit a task."""
    card = tasks()[task_name]
    return [
        name
        for name, method in methods().items()
        if (method.sampler.name if method.sampler else None) in SAMPLERS and method.misfit(card, card.params) is None
    ]


def spec(task_name: str, method_name: str, **settings: object) -> RunSpec:
    few = {"epochs": 5, "batch_size": 10, "train_samples": 2, "valid_samples": 8, "validate_every": 1, "lr": 3e-3}
    return resolve(
        task_name,
        method_name,
        "quick",
        0,
        task_params=EXAMPLES,
        base=NARROW.get(methods()[method_name].base.name),
        settings={**few, "warmup_epochs": 0, "schedule": "constant", "precision": "bfloat16", **settings},
    )


def fit(run: RunSpec) -> Fit:
    problem = problem_of(run)
    assert isinstance(problem, SupervisedTask)
    return new_fit(run, problem, RunContext.of(run))


def fit_on_edge_counts(method_name: str) -> Fit:
    """What twenty steps are enough for."""
    run, problem = spec("teacher_graph_invariant", method_name), EdgeCount()
    torch.manual_seed(0)
    model = new_model(run, problem.signature)
    return Fit(model, problem, run.settings, RunContext(), seed=0)


def assert_learns(training: Fit) -> None:
    x, targets = training.validation[:]
    before = training.task.loss(training.model.eval()(x, 8, torch.Generator().manual_seed(0)).value, targets).item()
    with deterministic(CPU):
        progress = training.run()
    losses = [values["validation/loss"] for _, values in progress.history]
    assert training.trained_steps == 20
    assert len(set(losses)) == len(losses)
    assert progress.best_score is not None and progress.best_score < before


@pytest.mark.parametrize("method_name", families("teacher_graph_invariant"))
def test_twenty_steps_change_validation_and_lower_it_on_graphs(method_name: str) -> None:
    """One autocast region around a whole run would train on the copies of weights that its first step made."""
    assert_learns(fit_on_edge_counts(method_name))


@pytest.mark.parametrize("method_name", families("nbody"))
def test_twenty_steps_change_validation_and_lower_it_in_space(method_name: str) -> None:
    assert_learns(fit(spec("nbody", method_name, lr=1e-4 if method_name == "radial_field" else 3e-3)))


class Seen(nn.Module):
    """Whether autocast was on at each call of a module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.calls: list[tuple[bool, bool]] = []
        module.register_forward_pre_hook(lambda m, _: self.calls.append((m.training, torch.is_autocast_enabled("cpu"))))


@pytest.mark.parametrize("method_name", ["mlp-ps", "gin_id-canonical", "transformer-ga"])
def test_only_the_base_network_and_only_in_training(method_name: str) -> None:
    training = fit(spec("teacher_graph_invariant", method_name, epochs=1))
    assert isinstance(training.model, Symmetrized)
    base, sampler = Seen(training.model.base), Seen(training.model.sampler)
    training.run()
    assert {training for training, _ in base.calls} == {True, False}
    assert all(autocast == training for training, autocast in base.calls)
    assert not any(autocast for _, autocast in sampler.calls)


def test_predictions_losses_and_group_elements_are_in_single_precision() -> None:
    training = fit(spec("teacher_graph_invariant", "mlp-ps"))
    x, _ = training.train[:10]
    model = training.model.train()
    assert isinstance(model, Symmetrized)
    prediction = model(x, 2, torch.Generator().manual_seed(0))
    assert prediction.value.dtype is torch.float32
    prediction.objective(prediction.value.square().mean()).backward()
    assert all(p.grad is None or p.grad.dtype is torch.float32 for p in model.parameters())


@pytest.mark.parametrize(("task_name", "params"), [("pattern", {"nodes": 20, "patterns": 4}), ("nbody", {})])
def test_canonicalization_stays_symmetric(task_name: str, params: dict[str, int]) -> None:
    """In bfloat16 most scores would tie, and chance would choose between the nodes."""
    run = resolve(
        task_name,
        "mlp-canonical",
        "quick",
        0,
        task_params=EXAMPLES | params,
        settings={"epochs": 2, "batch_size": 10, "train_samples": 1, "precision": "bfloat16"},
    )
    training = fit(run)
    training.run()
    x: Structure = training.validation.inputs[:]  # type: ignore[assignment]
    output = Representation(task(task_name).output)
    g = group(task(task_name).group_of(run.task_params)).random(x, 1, torch.Generator().manual_seed(1))
    model, noise = training.model.eval(), torch.Generator().manual_seed(2)
    with torch.no_grad():
        here, there = model(x, 1, noise).value, model(x.acted(g), 1, noise).value
    differences = (there - g.act(here[:, None], output)[:, 0]).flatten(1).norm(dim=1) / here.flatten(1).norm(dim=1)
    assert (differences < 1e-3).float().mean() > 0.9


@pytest.mark.parametrize("method_name", ["mlp-ga", "gin_id-ps", "gin"])
def test_a_stack_of_seeds_learns_as_each_seed_does(method_name: str) -> None:
    """From the same start, to the rounding of bfloat16, which grows with every step; and not on frozen weights."""
    gently = spec("teacher_graph_invariant", method_name, lr=3e-5)
    runs = [gently, replace(gently, seed=1)]
    problem = EdgeCount()
    models = []
    for run in runs:
        torch.manual_seed(run.seed)
        models.append(new_model(run, problem.signature))
    contexts = [RunContext(), RunContext()]
    stack = StackedFit(copy.deepcopy(models), problem, runs[0].settings, contexts, seeds=[0, 1])
    for run, model, together in zip(runs, models, stack.run(), strict=True):
        assert isinstance(together, FitState)
        training = Fit(model, problem, run.settings, RunContext(), seed=run.seed)
        alone = training.run()
        ours, expected = ([values["validation/loss"] for _, values in one.history] for one in (together, alone))
        assert ours == pytest.approx(expected, rel=0.1)
        assert ours == sorted(ours, reverse=True) and len(set(ours)) == 5


def test_chunks_change_nothing() -> None:
    """What is computed again in the backward pass is computed in bfloat16 again: gradients agree but for rounding."""
    gradients = []
    for chunk in (None, 1):
        training = fit(spec("teacher_graph_invariant", "mlp-ga"))
        x, targets = training.train[:10]
        value = training.model.train()(x, 4, torch.Generator().manual_seed(0), chunk).value
        training.task.loss(value, targets).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in training.model.parameters() if p.grad is not None]))
    whole, part = gradients
    assert (whole - part).norm() < 2 * torch.finfo(torch.bfloat16).eps * whole.norm()
