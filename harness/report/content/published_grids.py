"""The published study of sample complexity: variance, loss and entropy by k in training and at evaluation."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, model_validator

from harness.report.content.published import STRICT, version

FILE = Path(__file__).with_name("published_grids.yaml")
Quantity = Literal["output_variance", "loss_variance", "loss_mean", "permutation_entropy", "gradient_norm"]
ByVersion = dict[str, float]
"""A value for each version. Versions are runs of one protocol, so they differ as two runs of the authors differ."""


class PublishedSeries(BaseModel):
    """One quantity of one published run. ``values`` are by k at evaluation, by k in training or by epoch."""

    model_config = STRICT

    quantity: Quantity
    method: str
    version: str
    values: dict[int, float]


class PublishedGrid(BaseModel):
    """One quantity of one published run by both k.

    ``values`` are by k at evaluation; each row has a value for every k in training, of ``train_samples``.
    """

    model_config = STRICT

    quantity: Quantity
    method: str
    version: str
    train_samples: list[int]
    values: dict[int, list[float]]

    @model_validator(mode="after")
    def _complete(self) -> PublishedGrid:
        if any(len(row) != len(self.train_samples) for row in self.values.values()):
            raise ValueError("a row of a grid needs a value for every k in training")
        return self

    def at(self, train_samples: int, samples: int) -> float | None:
        """The value at k in training and k at evaluation; None if there is none."""
        if train_samples not in self.train_samples or samples not in self.values:
            return None
        return self.values[samples][self.train_samples.index(train_samples)]


class PublishedStudy(BaseModel):
    """Everything that was published about one task.

    Attributes:
        task: The name of the task.
        repeats: The number of predictions of each example from which a variance is computed.
        train_samples: k in training of the networks in ``by_epoch``.
        trained: Grids of trained networks.
        initialised: Series of networks as initialised, by k at evaluation.
        uniform_entropy: The entropy of the mean of uniform permutations.
        by_training: Series by k in training.
        by_epoch: Series by epoch.
    """

    model_config = STRICT

    task: str
    repeats: int
    train_samples: int
    trained: list[PublishedGrid]
    initialised: list[PublishedSeries]
    uniform_entropy: float
    by_training: list[PublishedSeries]
    by_epoch: list[PublishedSeries]

    @model_validator(mode="after")
    def _known_versions(self) -> PublishedStudy:
        for name in self.versions:
            version(name)
        return self

    @property
    def versions(self) -> list[str]:
        """The names of the published runs."""
        grids = {grid.version for grid in self.trained}
        return sorted(grids | {one.version for one in (*self.initialised, *self.by_training, *self.by_epoch)})

    def of_trained(self, quantity: str, method: str, train_samples: int, samples: int) -> ByVersion:
        """The values of networks trained with ``train_samples`` and evaluated with ``samples``."""
        grids = [grid for grid in self.trained if (grid.quantity, grid.method) == (quantity, method)]
        found = {grid.version: grid.at(train_samples, samples) for grid in grids}
        return {name: value for name, value in found.items() if value is not None}


def values_at(series: list[PublishedSeries], quantity: str, method: str, place: int) -> ByVersion:
    """The values of a quantity of a method at one k or epoch."""
    return {
        one.version: one.values[place]
        for one in series
        if (one.quantity, one.method) == (quantity, method) and place in one.values
    }


@cache
def study() -> PublishedStudy:
    """The published study, read once from its file."""
    return PublishedStudy.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def study_of(task: str) -> PublishedStudy | None:
    """The published study of a task, if there is one."""
    return study() if study().task == task else None
