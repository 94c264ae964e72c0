"""What a version of a teacher stands for, and what elements are drawn by given chance: by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.registry import task
from harness.verification.equivariance import coordinates
from tasks.catalogue.synthetic import SpaceTeacherSettings, TeacherSettings
from tasks.sources.splits import SPLITS
from tasks.symmetry.groups import group
from tasks.symmetry.structure import Structure
from tasks.teachers.tasks import GraphEquivariant, GraphInvariant, SpaceEquivariant, SpaceInvariant, Teacher
from tests.pins import Made, assert_pinned
from tests.tasks.symmetry.test_laws_of_groups import EVERY, structure

FEW: dict[str, Any] = {"train": 12, "validation": 4, "test": 4, "stabilised": 0.25}
ON_GRAPHS = [("S_n",), ("C_n",), ("D_n",)]
IN_SPACE = [
    ("O(3)",),
    ("S_n", "SO(3)"),
    ("C_n", "SSim(2)"),
    ("S_n", "SU(2)"),
    ("S_n", "SO+(1,3)"),
    ("S_n", "Aff(2)"),
    ("S_n", "C_3"),
    ("D_n", "B_2"),
]


def tensors(x: Structure) -> Iterator[Tensor]:
    yield from (x.mask, x.node_scalars, x.points, x.vectors, x.edge_scalars)


def of_teacher(kind: type[Teacher], names: tuple[str, ...]) -> Iterator[Tensor]:
    settings = SpaceTeacherSettings if issubclass(kind, SpaceInvariant) else TeacherSettings
    problem = kind(settings(**FEW, group=names, nodes=6))
    for data in (problem.data(split) for split in SPLITS):  # type: ignore[arg-type]
        yield from tensors(data.inputs[:])
        yield data.targets[:]


def of_elements(name: str) -> Iterator[Tensor]:
    symmetry = group((name,))
    x, chance = structure(symmetry, 2), torch.Generator().manual_seed(1)
    yield coordinates(symmetry.random(x, 3, chance))
    if not name.startswith("Aff"):
        yield coordinates(symmetry.uniform(x, symmetry.noise(x, 3, chance)))


def made() -> Iterator[tuple[str, Any]]:
    for name in EVERY:
        yield f"elements of {name}", partial(of_elements, name)
    for kinds, symmetries in (
        ({"graph_invariant": GraphInvariant, "graph_equivariant": GraphEquivariant}, ON_GRAPHS),
        ({"space_invariant": SpaceInvariant, "space_equivariant": SpaceEquivariant}, IN_SPACE),
    ):
        for name, kind in kinds.items():
            version = task(f"teacher_{name}").version
            for names in symmetries:
                yield f"teacher_{name} {version}, {' x '.join(names)}", partial(of_teacher, kind, names)


MADE: Made = dict(made())


@pytest.mark.parametrize("name", MADE)
def test_a_version_always_says_the_same(name: str) -> None:
    assert_pinned(MADE, name)
