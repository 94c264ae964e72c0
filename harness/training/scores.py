"""Whether a task of another package returns the metrics that its card names, before anything is trained."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable

import torch

from baselines.model import Model
from harness.registry import plugins_of, task
from harness.spec import RunSpec
from harness.training.device import DTYPES
from harness.training.evaluate import predict
from harness.training.seeds import generator
from harness.utils.text import nearest
from tasks.cards import TaskCard, stricter
from tasks.task import PairedTask, SeparationTask, SupervisedTask

SEPARATION = ("unseparated", "false_separations", "unseparated_sound")
PAIRS = ("separated", "unreliable", "pairs")
EXAMPLES = 2


def check_scores(
    spec: RunSpec,
    problem: SupervisedTask | SeparationTask | PairedTask,
    device: torch.device,
    model: Model | None = None,
) -> None:
    """Raises ``ValueError`` where a plug-in's task does not return its metric or its control.

    A supervised task is asked for the metrics of what an untrained ``model`` predicts for some validation examples.
    One that cannot tell of so few is asked no further.
    """
    card = task(spec.task)
    if not any(plugin.card is card for plugin in plugins_of([spec])):
        return
    if isinstance(problem, SeparationTask):
        _check(card, SEPARATION)
    elif isinstance(problem, PairedTask):
        _check(card, [*PAIRS, *(f"separated_{category}" for category in problem.categories)])
    elif model is not None and (names := _names(spec, problem, device, model)):
        _check(card, names)


def _names(spec: RunSpec, problem: SupervisedTask, device: torch.device, model: Model) -> list[str]:
    part = problem.examples("validation").first(EXAMPLES).to(device, DTYPES[spec.settings.precision])
    noise = generator(device, spec.seed, "scores")
    training = model.training
    try:
        with contextlib.suppress(Exception), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return list(problem.metrics(predict(model, part.inputs, 1, EXAMPLES, noise), part.targets[:]))
    finally:
        model.train(training)
    return []


def _check(card: TaskCard, names: Iterable[str]) -> None:
    known = list(names)
    for kind, name in (("metric", card.metric), ("control", card.control)):
        if name is not None and name not in known and not (kind == "control" and name in stricter(card.metric)):
            hint = nearest(name, known)
            raise ValueError(f"the {kind} of the task {card.name} is '{name}', which the task does not return: {hint}")
