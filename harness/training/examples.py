"""A task's examples: what is wrong with them before any model sees them, and what a model computes of each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from baselines.model import Model
from tasks.ragged import RaggedPairs
from tasks.sources.cache import DataError
from tasks.symmetry.structure import Structure, Structures
from tasks.task import Dataset, PairedTask, SeparationTask, Split, SupervisedTask

CHANNELS = ("node_scalars", "points", "vectors", "edge_scalars")
REPAIR = "repair it or leave it out"


def prepared(
    problem: SupervisedTask, split: Split, size: int | None, model: Model, device: torch.device, dtype: torch.dtype
) -> Dataset:
    """The first ``size`` examples of a split as ``model`` reads them again and again, on ``device``."""
    data = problem.examples(split).first(size).to("cpu", dtype)
    return replace(data, inputs=model.prepared(data.inputs)).to(device, dtype)


def check_examples(
    problem: SupervisedTask | SeparationTask | PairedTask, splits: Sequence[Split] = get_args(Split)
) -> None:
    """Looks through all ``splits`` once.

    Raises :class:`~tasks.sources.cache.DataError` for a split without examples, and for an example without nodes or
    with values or targets that are not finite. Pairs are made one by one and not looked at here: embeddings that are
    not finite end their comparison.
    """
    if isinstance(problem, PairedTask):
        return
    if isinstance(problem, SeparationTask):
        _check_inputs("the task", problem.structures())
        return
    for split in splits:
        data = problem.data(split)
        _check_inputs(f"the {split} split", data.inputs)
        _check_targets(f"the {split} split", data.targets, problem.targets_may_be_unknown)


def _check_inputs(where: str, structures: Structures) -> None:
    if not len(structures):
        raise DataError(f"{where.capitalize()} has no examples: ask for at least one.")
    exist = structures.outline.mask.any(1)
    if not exist.all():
        raise DataError(f"Example {_first(~exist)} of {where} has no nodes: leave it out.")
    if not isinstance(structures, Structure):  # a store of classes, which are whole numbers
        return
    for name in CHANNELS:
        wrong = ~getattr(structures, name).isfinite().flatten(1).all(1)
        if wrong.any():
            raise DataError(f"Example {_first(wrong)} of {where} has {name} that are not finite: {REPAIR}.")


def _check_targets(where: str, targets: Tensor | RaggedPairs, may_be_unknown: bool) -> None:
    if isinstance(targets, RaggedPairs):
        wrong = ~targets.label.isfinite()
        if wrong.any():
            example = int((targets.pairs.start <= _first(wrong)).sum()) - 1
            raise DataError(f"Example {example} of {where} has targets that are not finite: {REPAIR}.")
        return
    rows = targets.reshape(len(targets), -1)
    wrong = (rows.isinf() if may_be_unknown else ~rows.isfinite()).any(1)
    if wrong.any():
        raise DataError(f"Example {_first(wrong)} of {where} has targets that are not finite: {REPAIR}.")
    if rows.isnan().all():
        raise DataError(f"{where.capitalize()} has no target that is known: take another one.")


def _first(wrong: Tensor) -> int:
    return int(wrong.int().argmax())
