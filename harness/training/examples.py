"""What is wrong with a task's examples, before any model sees them."""

from __future__ import annotations

from typing import get_args

from tasks.symmetry.structure import Structure, Structures
from tasks.task import PairedTask, SeparationTask, Split, SupervisedTask

CHANNELS = ("node_scalars", "points", "vectors", "edge_scalars")


def check_examples(problem: SupervisedTask | SeparationTask | PairedTask) -> None:
    """Raises ``ValueError`` for a split without examples, and for an example without nodes or with values not finite.

    Pairs are made one by one and not looked at here: embeddings that are not finite end their comparison.
    """
    if isinstance(problem, PairedTask):
        return
    if isinstance(problem, SeparationTask):
        _check("the task", problem.structures())
        return
    for split in get_args(Split):
        _check(f"the {split} split", problem.data(split).inputs)


def _check(where: str, structures: Structures) -> None:
    if not len(structures):
        raise ValueError(f"{where} has no examples: ask for at least one")
    exist = structures.outline.mask.any(1)
    if not exist.all():
        raise ValueError(f"example {int(exist.int().argmin())} of {where} has no nodes: leave it out")
    if not isinstance(structures, Structure):  # a store of classes, which are whole numbers
        return
    for name in CHANNELS:
        finite = getattr(structures, name).isfinite().flatten(1).all(1)
        if not finite.all():
            example = int(finite.int().argmin())
            raise ValueError(f"example {example} of {where} has {name} that are not finite: repair it or leave it out")
