"""The interface between tasks and the training loop: data with targets and a loss, or structures to distinguish."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from tasks.ragged import RaggedGraphs, RaggedPairs, RaggedStructures
from tasks.symmetry.structure import Signature, Structure

Split = Literal["train", "validation", "test"]
Metrics = Callable[[Any, Tensor, Tensor], dict[str, float]]
MOST_EXAMPLES = 1 << 40  # of a split, so that keys of two splits differ


@dataclass(frozen=True)
class Dataset:
    """Structures with targets.

    Attributes:
        inputs: M structures.
        targets: ``[M, ...]`` in floating point, even for classes. They transform with the structures like the task's
            outputs. Absent nodes and pairs, and those without a label, have a negative class.
    """

    inputs: Structure | RaggedGraphs | RaggedStructures
    targets: Tensor | RaggedPairs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Tensor | slice) -> tuple[Structure, Tensor]:
        return self.inputs[index], self.targets[index]

    def first(self, size: int | None) -> Dataset:
        """The first ``size`` examples, or all if it is None."""
        targets = self.targets[:size] if isinstance(self.targets, Tensor) else self.targets.first(size)
        return Dataset(self.inputs.first(size), targets)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Dataset:
        """Moves inputs and targets to a device and converts those of floating point."""
        return Dataset(self.inputs.to(device, dtype), self.targets.to(device, dtype))


class Task(ABC):
    """Base class of all tasks.

    Attributes:
        kind: How a run on the task is computed and scored: a built-in kind (:data:`~tasks.cards.Form`), or the
            ``module:Class`` of another one, a subclass of :class:`harness.training.kinds.TaskKind`.
        signature: The inputs and outputs of models.
    """

    kind: ClassVar[str]
    signature: Signature


class SupervisedTask(Task):
    """A task with training.

    Attributes:
        signature: The inputs and outputs of models.
        targets_may_be_unknown: True if unknown targets are NaN; otherwise all targets are finite.

    Raises:
        DataError: The data is missing or damaged.
    """

    kind = "supervised"
    targets_may_be_unknown: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Makes the metrics of a subclass NaN for predictions that are not finite."""
        super().__init_subclass__(**options)
        inherited = [base.metrics for base in cls.__bases__ if issubclass(base, SupervisedTask)]
        if all(cls.metrics is not one for one in inherited):
            cls.metrics = of_finite_predictions(cls.metrics)  # type: ignore[method-assign,assignment]

    @abstractmethod
    def __init__(self, settings: Any) -> None: ...

    @abstractmethod
    def data(self, split: Split) -> Dataset:
        """One split of the data, in single precision on the CPU."""

    def examples(self, split: Split) -> Dataset:
        """One split of the data, with keys that are unique among all splits."""
        data = self.data(split)
        return replace(data, inputs=data.inputs.keyed(get_args(Split).index(split) * MOST_EXAMPLES))

    @abstractmethod
    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The loss of training and validation, a scalar: the mean over examples."""

    @abstractmethod
    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """The metric of the task, and others, over a whole split; NaN if any prediction is not finite."""


def of_finite_predictions(metrics: Metrics) -> Metrics:
    """Wraps a method so that all metrics are NaN if any prediction is not finite.

    Comparisons with NaN are false, so a NaN would otherwise count as a wrong class or as the lowest rank. The names of
    the metrics are computed from finite predictions, since the method may raise an error for others.
    """

    @wraps(metrics)
    def checked(task: Any, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        if predictions.isfinite().all():
            return metrics(task, predictions, targets)
        return dict.fromkeys(metrics(task, torch.zeros_like(predictions), targets), math.nan)

    return checked


class Probabilistic(SupervisedTask):
    """A supervised task with an output and a loss for each example, whose variance over predictions can be measured."""

    kind = "probabilistic"

    @abstractmethod
    def outputs(self, predictions: Tensor) -> Tensor:
        """The output ``[..., M]`` of each of M examples, for predictions ``[..., M, C]``."""

    @abstractmethod
    def losses(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The loss ``[..., M]`` of each example, for predictions ``[..., M, C]`` and targets ``[M, C]``."""


class SeparationTask(Task):
    """A task without training, which counts the structures that randomly initialised models distinguish.

    Models return embeddings ``[B, C]``. Two structures are separated if the L1 distance of their embeddings exceeds
    ``threshold`` for any of several initialisations.
    """

    kind = "separation"
    threshold: float

    @abstractmethod
    def __init__(self, settings: Any) -> None: ...

    @abstractmethod
    def structures(self) -> Structure:
        """All structures, in single precision on the CPU."""

    def pairs(self) -> Tensor | None:
        """Indices ``[P, 2]`` of the structures to distinguish; None for all pairs."""
        return None


class PairedTask(Task):
    """Pairs of structures, each to be distinguished by a model of its own.

    Models return embeddings ``[B, C]`` and are built for :meth:`signature_of` their pair. A pair is separated if a test
    rejects that embeddings of copies of both structures have the same mean, and reliably so if the same test does not
    reject for copies of one structure.

    Attributes:
        signature: The signature of all structures together.
        categories: The category of every pair.
        relabellings: Number of copies of each structure.
        level: The level of the test.
    """

    kind = "paired"
    categories: Sequence[str]
    relabellings: int
    level: float

    @abstractmethod
    def __init__(self, settings: Any) -> None: ...

    @abstractmethod
    def pair(self, index: int) -> Structure:
        """The two structures of a pair, padded no further than the larger, in single precision on the CPU."""

    @abstractmethod
    def signature_of(self, pair: Structure) -> Signature:
        """The signature that the model of a pair is built for."""

    @abstractmethod
    def structures(self) -> Structure:
        """All structures with the same padding."""
