"""Checks of a task's examples before the run, and what a model precomputes for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from torch import Tensor

from baselines.model import Model
from harness.training.context import RunContext
from tasks.errors import DataError
from tasks.ragged import RaggedPairs
from tasks.symmetry.structure import Structure, Structures
from tasks.task import Dataset, Split, SupervisedTask

CHANNELS = ("node_scalars", "points", "vectors", "edge_scalars")
REPAIR = "repair it or leave it out"


def prepared(problem: SupervisedTask, split: Split, size: int | None, model: Model, context: RunContext) -> Dataset:
    """Returns the first ``size`` examples of a split (``None``: all) on the device, as ``model`` precomputes them."""
    data = problem.examples(split).first(size).to("cpu", context.dtype)
    return replace(data, inputs=model.prepared(data.inputs)).to(context.device, context.dtype)


def check_examples(problem: SupervisedTask, splits: Sequence[Split] = get_args(Split)) -> None:
    """Checks all ``splits``.

    Raises:
        DataError: A split has no examples, or an example has no nodes, or values or targets that are not finite.
    """
    for split in splits:
        data = problem.data(split)
        check_inputs(f"the {split} split", data.inputs)
        _check_targets(f"the {split} split", data.targets, problem.targets_may_be_unknown)


def check_inputs(where: str, structures: Structures) -> None:
    """Checks ``structures``, which the message calls ``where``.

    Raises:
        DataError: There are none, or one has no nodes or values that are not finite.
    """
    if not len(structures):
        raise DataError(f"{where.capitalize()} has no examples: ask for at least one.")
    has_nodes = structures.outline.mask.any(1)
    if not has_nodes.all():
        raise DataError(f"Example {_first(~has_nodes)} of {where} has no nodes: leave it out.")
    if not isinstance(structures, Structure):  # what is stored end to end was checked when it was read
        return
    for name in CHANNELS:
        invalid = ~getattr(structures, name).isfinite().flatten(1).all(1)
        if invalid.any():
            raise DataError(f"Example {_first(invalid)} of {where} has {name} that are not finite: {REPAIR}.")


def _check_targets(where: str, targets: Tensor | RaggedPairs, may_be_unknown: bool) -> None:
    if isinstance(targets, RaggedPairs):
        invalid = ~targets.label.isfinite()
        if invalid.any():
            example = int((targets.pairs.start <= _first(invalid)).sum()) - 1
            raise DataError(f"Example {example} of {where} has targets that are not finite: {REPAIR}.")
        return
    rows = targets.reshape(len(targets), -1)
    invalid = (rows.isinf() if may_be_unknown else ~rows.isfinite()).any(1)
    if invalid.any():
        raise DataError(f"Example {_first(invalid)} of {where} has targets that are not finite: {REPAIR}.")
    if rows.isnan().all():
        raise DataError(f"{where.capitalize()} has no known target: choose another one.")


def _first(invalid: Tensor) -> int:
    return int(invalid.int().argmax())
