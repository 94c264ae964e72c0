"""What a task gives the training loop: data with targets and a loss, or structures to be told apart."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from tasks.ragged import RaggedGraphs, RaggedPairs
from tasks.symmetry.structure import Signature, Structure

Split = Literal["train", "validation", "test"]
Metrics = Callable[[Any, Tensor, Tensor], dict[str, float]]
MOST_EXAMPLES = 1 << 40  # of a split: further apart than that, the keys of two splits never meet


@dataclass(frozen=True)
class Dataset:
    """Structures and their targets ``[M, ...]``, floats also where they are classes.

    Targets move with their structures as the task's outputs do. A class is negative where there is none: nodes and
    pairs that do not exist or have no label.
    """

    inputs: Structure | RaggedGraphs
    targets: Tensor | RaggedPairs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Tensor | slice) -> tuple[Structure, Tensor]:
        return self.inputs[index], self.targets[index]

    def first(self, size: int | None) -> Dataset:
        """The first ``size`` examples (``None``: all)."""
        targets = self.targets[:size] if isinstance(self.targets, Tensor) else self.targets.first(size)
        return Dataset(self.inputs.first(size), targets)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Dataset:
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
    """A task that is trained: ``signature`` says what models read and put out.

    Built from the task parameters of its card; raises :class:`tasks.sources.cache.DataError` where its data cannot be
    had. Targets are finite; with ``targets_may_be_unknown`` a target that is not known is not-a-number.
    """

    kind = "supervised"
    targets_may_be_unknown: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Whatever the task's metrics make of them, those of predictions that are not finite are not-a-number."""
        super().__init_subclass__(**options)
        inherited = [base.metrics for base in cls.__bases__ if issubclass(base, SupervisedTask)]
        if all(cls.metrics is not one for one in inherited):
            cls.metrics = of_finite_predictions(cls.metrics)  # type: ignore[method-assign,assignment]

    @abstractmethod
    def __init__(self, params: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def data(self, split: Split) -> Dataset:
        """One split, in single precision on the CPU."""

    def examples(self, split: Split) -> Dataset:
        """One split, whose structures have keys that no other structure of the task has."""
        data = self.data(split)
        return replace(data, inputs=data.inputs.keyed(get_args(Split).index(split) * MOST_EXAMPLES))

    @abstractmethod
    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The scalar that training lowers and validation selects by: a mean over examples."""

    @abstractmethod
    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """The task's metric, and others, of a whole split; not-a-number where any prediction is not finite."""


def of_finite_predictions(metrics: Metrics) -> Metrics:
    """``metrics`` that are all not-a-number where a prediction is not finite.

    Every comparison with not-a-number is false, so it would count as a wrong class, or as ranked below all others. The
    names are read off finite predictions: what computes metrics may raise for others.
    """

    @wraps(metrics)
    def checked(task: Any, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        if predictions.isfinite().all():
            return metrics(task, predictions, targets)
        return dict.fromkeys(metrics(task, torch.zeros_like(predictions), targets), math.nan)

    return checked


class Probabilistic(SupervisedTask):
    """A task that says which number it puts out and loses for each example, so that their variance can be measured."""

    kind = "probabilistic"

    @abstractmethod
    def outputs(self, predictions: Tensor) -> Tensor:
        """``[..., M]``: what is put out for each of M examples, of predictions ``[..., M, C]``."""

    @abstractmethod
    def losses(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """``[..., M]``: the loss of each example, of predictions ``[..., M, C]`` and targets ``[M, C]``."""


class SeparationTask(Task):
    """A task without training: which structures does a randomly initialised model tell apart?

    Models put out embeddings ``[B, C]``. Two structures are separated once the L1 distance of their embeddings
    exceeds ``threshold`` under any initialisation.
    """

    kind = "separation"
    threshold: float

    @abstractmethod
    def __init__(self, params: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def structures(self) -> Structure:
        """All structures, in single precision on the CPU."""

    def pairs(self) -> Tensor | None:
        """Places ``[P, 2]`` of the structures that are to be told apart (``None``: any two)."""
        return None


class PairedTask(Task):
    """Pairs of structures, each to be told apart by a model of its own.

    Models put out embeddings ``[B, C]`` and are built by ``signature_of`` their pair; ``signature`` is that of all
    structures together. A pair is separated if a test at ``level`` tells ``relabellings`` embedded copies of one
    structure from as many of the other, and reliably so if the same test does not tell copies of one structure apart.
    """

    kind = "paired"
    categories: Sequence[str]  # of every pair
    relabellings: int
    level: float

    @abstractmethod
    def __init__(self, params: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def pair(self, index: int) -> Structure:
        """The two structures of a pair, padded no further than the larger, in single precision on the CPU."""

    @abstractmethod
    def signature_of(self, pair: Structure) -> Signature:
        """What the model of a pair is built for."""

    @abstractmethod
    def structures(self) -> Structure:
        """All structures, padded alike."""
