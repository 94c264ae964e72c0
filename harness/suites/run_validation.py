"""Checks the settings and resources of a run against the card of its task (no torch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.spec import Resources, RunSpec
from tasks.cards import TaskCard

SIZES = {"train_size": "train", "valid_size": "validation", "test_size": "test"}
"""Settings by the split that they cut."""


def unworkable(spec: RunSpec, card: TaskCard, given: Mapping[str, Any], resources: Resources) -> str | None:
    """The first error, as a clause that names the setting; ``None`` if the card shows none.

    ``given`` are the settings that the suite sets itself. A size from the protocol is cut to a smaller data set, and a
    warm-up from the protocol can end with the run; the same values in ``given`` are errors.
    """
    return next(_reasons(spec, card, given, resources), None)


def _reasons(spec: RunSpec, card: TaskCard, given: Mapping[str, Any], resources: Resources) -> Iterator[str]:
    settings, there = spec.settings, card.examples(card.settings_from(spec.task_params))
    for name, split in SIZES.items():
        size = given.get(name)
        if size is not None and size > there.get(split, size):
            yield f"{name} should be at most {there[split]}, the {split} examples of {card.name}, not {size}"
    examples = _least(settings.train_size, there.get("train"))
    if card.form in ("supervised", "probabilistic") and examples is not None:
        yield from _of_training(spec, resources, examples)
    if settings.variance_samples and card.form not in ("probabilistic", None):
        yield f"{card.name} does not say what it puts out for an example: leave variance_samples empty"
    if settings.analysis_epochs and card.form not in ("supervised", "probabilistic", None):
        yield f"{card.name} has no training whose gradient could be measured: leave analysis_epochs empty"
    if resources.workers > 1 and card.form in ("separation", "paired"):
        yield f"several workers cannot share a run on {card.name}: set workers to 1"
    if resources.workers > 1 and 0 < resources.gpus < 1:
        yield f"gpus should be 0 or 1, not {resources.gpus:g}, where several workers share a run: each needs a device"
    if resources.workers > 1 and settings.analysis_epochs:
        yield "several workers cannot share a run with analysis_epochs: set workers to 1"


def _of_training(spec: RunSpec, resources: Resources, examples: int) -> Iterator[str]:
    settings, batch = spec.settings, spec.settings.batch_size
    if settings.drop_last and examples < batch:
        what = f"drop_last leaves no batch of {batch} among {examples} training examples"
        yield f"{what}: lower batch_size, raise train_size or train, or set drop_last to false"
    smallest = batch if settings.drop_last else examples % batch or min(examples, batch)
    if smallest < resources.workers:
        what = f"a batch of {smallest} examples cannot be shared by {resources.workers} workers"
        yield f"{what}: change batch_size or workers"


def _least(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)
