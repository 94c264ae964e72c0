"""Synthetic tasks for scaling: the outputs of a random teacher for random inputs, under any registered group.

Graphs have a group of nodes (S_n, C_n or D_n); sets of points and vectors have a group of space and optionally a group
of nodes. Targets are computed in double precision and have a variance of about 1. Networks and teachers read and
predict points relative to the centroid, so that targets under O(d), U(d), ... are equivariant under translations too.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from tasks.catalogue.synthetic import TeacherSettings
from tasks.symmetry.groups import AffineGroup, group, node_and_space
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, Split, SupervisedTask
from tasks.teachers.inputs import check_stabilisers, random_graphs, random_points
from tasks.teachers.relations import PairTeacher
from tasks.teachers.space import SpaceTeacher

REFERENCE = 512  # number of inputs from which the scale of targets is computed


class Teacher(SupervisedTask):
    """Base class of the tasks. ``mse`` is relative to the variance of the targets: predicting their mean gives 1.

    Raises:
        ValueError: A setting is out of range, or the group does not act on the inputs.
    """

    output: ClassVar[Representation]

    def __init__(self, settings: TeacherSettings) -> None:
        self.group = group(settings.factors)
        self.nodes, self.stabilised, self.seed = settings.nodes, settings.stabilised, settings.data_seed
        self._check()
        reference = self._inputs(REFERENCE, "reference")
        self._prepare(reference, self._chance("teacher"))
        found = self._answers(reference)
        self.level = found.mean() if self.output is not Representation.NODE_POINTS else 0.0
        self.scale = spread(found).sqrt()
        self._data = {split: self._dataset(self._inputs(size, split)) for split, size in settings.sizes.items()}
        self.signature = Signature.of(self._data["train"].inputs, self.output, 1)

    def _check(self) -> None:
        if self.nodes < 2:
            raise ValueError(f"nodes must be at least 2, not {self.nodes}")
        if not 0 <= self.stabilised <= 1:
            raise ValueError(f"stabilised must be from 0 to 1, not {self.stabilised}")
        if self.stabilised:
            check_stabilisers(self.group, self.nodes)

    @abstractmethod
    def _inputs(self, count: int, purpose: str) -> Structure:
        """Random structures in double precision."""

    @abstractmethod
    def _prepare(self, reference: Structure, chance: torch.Generator) -> None:
        """Draws the teacher."""

    @abstractmethod
    def _answers(self, x: Structure) -> Tensor:
        """The outputs of the teacher before standardisation; for points, displacements from the centroid."""

    def targets(self, x: Structure) -> Tensor:
        """The targets ``[B, ..., 1]`` of structures in double precision."""
        answers = (self._answers(x) - self.level) / self.scale
        return x.centroid[:, None, :, None] + answers if self.output is Representation.NODE_POINTS else answers

    def _dataset(self, x: Structure) -> Dataset:
        return Dataset(x.to("cpu", torch.float32), self.targets(x).float())

    def _chance(self, purpose: str) -> torch.Generator:
        words = [self.seed, *purpose.encode()]
        return torch.Generator().manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))

    def data(self, split: Split) -> Dataset:
        return self._data[split]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return mse_loss(predictions, targets)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        error = mse_loss(predictions.double(), targets.double())
        return {"mse": (error / spread(targets.double())).item()}


def spread(values: Tensor) -> Tensor:
    """The variance of scalars ``[B, ..., 1]`` about their mean, or of points ``[B, N, D, 1]`` about each centroid."""
    mean = values.mean(1, keepdim=True) if values.dim() == 4 else values.mean()
    return (values - mean).square().mean()


class GraphInvariant(Teacher):
    """An invariant scalar of a graph."""

    output = Representation.GRAPH_SCALARS

    def _check(self) -> None:
        permuting, space = node_and_space(self.group)
        if permuting is None or space is not None:
            raise ValueError(f"the group of graphs must be S_n, C_n or D_n, not {self.group.name}")
        self.permuting = permuting
        super()._check()

    def _inputs(self, count: int, purpose: str) -> Structure:
        return random_graphs(self.group, count, self.nodes, self.stabilised, self._chance(purpose))

    def _prepare(self, reference: Structure, chance: torch.Generator) -> None:
        self.teacher = PairTeacher(self.permuting, self.nodes, 3, 1, chance)

    def _answers(self, x: Structure) -> Tensor:
        types = x.node_scalars[..., :1]
        ends = [types[:, :, None].expand(-1, -1, self.nodes, -1), types[:, None].expand(-1, self.nodes, -1, -1)]
        return self.teacher(torch.cat([x.edge_scalars, *ends], -1), self.output)


class GraphEquivariant(GraphInvariant):
    """A scalar of every node of a graph."""

    output = Representation.NODE_SCALARS


class SpaceInvariant(Teacher):
    """An invariant scalar of a set of points and vectors."""

    output = Representation.GRAPH_SCALARS

    def _check(self) -> None:
        self.permuting, space = node_and_space(self.group)
        if space is None:
            raise ValueError(f"the group of points must have a factor such as O(3), unlike {self.group.name}")
        if isinstance(space, AffineGroup) and space.dimension >= 2 * self.nodes:
            raise ValueError(f"{self.nodes} points and vectors do not span R^{space.dimension}: raise nodes")
        self.space = space
        super()._check()

    def _inputs(self, count: int, purpose: str) -> Structure:
        return random_points(self.group, self.space, count, self.nodes, self.stabilised, self._chance(purpose))

    def _prepare(self, reference: Structure, chance: torch.Generator) -> None:
        self.teacher = SpaceTeacher(self.space, self.permuting, reference, chance)

    def _answers(self, x: Structure) -> Tensor:
        return self.teacher.invariant(x)


class SpaceEquivariant(SpaceInvariant):
    """A point for every node."""

    output = Representation.NODE_POINTS

    def _answers(self, x: Structure) -> Tensor:
        return self.teacher.displacement(x)
