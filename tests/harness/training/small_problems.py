"""Tiny tasks and specs for tests of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from harness.registry import resolve
from harness.spec import RunSpec
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tasks.task import Dataset, Split, SupervisedTask
from tests.structures import random_graphs

SIZES: Mapping[Split, int] = {"train": 40, "validation": 20, "test": 20}


class EdgeCount(SupervisedTask):
    """How many edges has a graph? Enough for a loop to learn something."""

    def __init__(self, settings: Any = None) -> None:
        self.signature = Signature.of(random_graphs(1, 5), Representation.GRAPH_SCALARS, 1)

    def data(self, split: Split) -> Dataset:
        graphs = random_graphs(SIZES[split], 5, seed=len(split), dtype=torch.float32)
        return Dataset(graphs, graphs.adjacency.sum((1, 2))[:, None] / 10)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return mse_loss(predictions, targets)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {"mse": mse_loss(predictions, targets).item()}


def particles_spec(method: str, seed: int = 0, **settings: Any) -> RunSpec:
    """A run on a few trajectories of charged particles."""
    small = {"epochs": 3, "batch_size": 10, "train_samples": 2, "test_samples": 3, "curve_samples": [1, 2, 4]}
    return resolve(
        "nbody",
        method,
        "quick",
        seed,
        task_params={"train": 40, "validation": 20, "test": 20},
        settings={**small, **settings},
    )
