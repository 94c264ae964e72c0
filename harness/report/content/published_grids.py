"""The paper's study of sample complexity: variance, loss and entropy by k in training and at evaluation."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import model_validator

from harness.report.content.published import Strict, version

FILE = Path(__file__).with_name("published_grids.yaml")
Quantity = Literal["output_variance", "loss_variance", "loss_mean", "permutation_entropy", "gradient_norm"]
ByVersion = dict[str, float]
"""The published runs of one protocol: their spread is what another run of theirs gives."""


class Series(Strict):
    """One quantity of one published run. ``values`` are by k at evaluation, by k in training or by epoch."""

    quantity: Quantity
    method: str
    version: str
    values: dict[int, float]


class Grid(Strict):
    """``values`` are by k at evaluation; each row has one for every k of ``train_samples``."""

    quantity: Quantity
    method: str
    version: str
    train_samples: list[int]
    values: dict[int, list[float]]

    @model_validator(mode="after")
    def _whole(self) -> Grid:
        if any(len(row) != len(self.train_samples) for row in self.values.values()):
            raise ValueError("a row of a grid needs a value for every k in training")
        return self

    def at(self, train_samples: int, samples: int) -> float | None:
        if train_samples not in self.train_samples or samples not in self.values:
            return None
        return self.values[samples][self.train_samples.index(train_samples)]


class Study(Strict):
    """Everything published of one task. ``repeats`` predictions of each example are behind a variance.

    ``by_training`` are by k in training; ``by_epoch`` are of networks that were trained with ``train_samples``.
    """

    task: str
    repeats: int
    train_samples: int
    trained: list[Grid]
    initialised: list[Series]
    uniform_entropy: float
    by_training: list[Series]
    by_epoch: list[Series]

    @model_validator(mode="after")
    def _known_versions(self) -> Study:
        for name in self.versions:
            version(name)
        return self

    @property
    def versions(self) -> list[str]:
        """Of the published runs."""
        grids = {grid.version for grid in self.trained}
        return sorted(grids | {one.version for one in (*self.initialised, *self.by_training, *self.by_epoch)})

    def of_trained(self, quantity: str, method: str, train_samples: int, samples: int) -> ByVersion:
        """What the networks trained with ``train_samples`` had, evaluated with ``samples``."""
        grids = [grid for grid in self.trained if (grid.quantity, grid.method) == (quantity, method)]
        found = {grid.version: grid.at(train_samples, samples) for grid in grids}
        return {name: value for name, value in found.items() if value is not None}


def at(series: list[Series], quantity: str, method: str, place: int) -> ByVersion:
    """What the runs of some series had at one k or epoch."""
    return {
        one.version: one.values[place]
        for one in series
        if (one.quantity, one.method) == (quantity, method) and place in one.values
    }


@cache
def study() -> Study:
    return Study.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def study_of(task: str) -> Study | None:
    return study() if study().task == task else None
