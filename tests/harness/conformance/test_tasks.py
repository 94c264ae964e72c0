"""The conformance suite passes built-in tasks and finds what is wrong with broken ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.conformance.suite import check_task, checks_of
from harness.errors import ConformanceError
from tasks.cards import TaskCard
from tasks.catalogue import EXP_CLASSIFY, INNER_SYMMETRY, NBODY, SHAPES_O3, TASKS
from tasks.protocol import Protocol
from tasks.settings import NoSettings
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, Split, SupervisedTask

TEACHERS = [card for card in TASKS if card.name.startswith("teacher_")]
SIZES: Mapping[Split, int] = {"train": 12, "validation": 6, "test": 8}


@pytest.mark.usefixtures("generated_data")
@pytest.mark.parametrize("card", [NBODY, INNER_SYMMETRY, EXP_CLASSIFY, *TEACHERS], ids=lambda card: card.name)
def test_built_in_tasks_conform(card: TaskCard) -> None:
    check_task(card)


def test_a_task_with_small_settings_conforms() -> None:
    check_task(SHAPES_O3, task_params={"points": 6})


def means(x: Structure) -> Tensor:
    """The mean of all points of each structure, ``[B, N, D, 1]``, equivariant under E(3)."""
    return x.centroid[:, None, :, None].expand(-1, x.nodes, -1, -1)


class Sound(SupervisedTask):
    """A task that conforms: predict the centroid."""

    def __init__(self, settings: NoSettings) -> None:
        noise = torch.Generator().manual_seed(0)
        self._data = {split: self.made(size, noise) for split, size in SIZES.items()}
        self.signature = Signature.of(self._data["train"].inputs, Representation.NODE_POINTS, 1)

    def made(self, size: int, noise: torch.Generator) -> Dataset:
        mask = torch.ones(size, 4, dtype=torch.bool)
        x = Structure.build(mask, points=torch.randn(size, 4, 3, 1, generator=noise))
        return Dataset(x, self.targets(x))

    def targets(self, x: Structure) -> Tensor:
        return means(x)

    def data(self, split: Split) -> Dataset:
        return self._data[split]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets).square().mean()

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {"mse": self.loss(predictions, targets).item()}


class Overlapping(Sound):
    def data(self, split: Split) -> Dataset:
        return self._data["train"].first(SIZES[split])


class AnotherEachTime(Sound):
    def made(self, size: int, noise: torch.Generator) -> Dataset:
        return super().made(size, torch.default_generator)


class FirstCoordinate(Sound):
    """Targets that do not move with the points."""

    def targets(self, x: Structure) -> Tensor:
        return x.points.abs()


class ScalarTargets(Sound):
    def targets(self, x: Structure) -> Tensor:
        return means(x)[:, 0, :, 0]


class ReadsPlaces(Sound):
    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets)[:, 0].square().mean()


class ReadsCoordinates(Sound):
    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {"mse": (predictions - targets)[:, :, 0].square().mean().item()}


class WithoutGradient(Sound):
    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return super().loss(predictions.detach(), targets)


class Double(Sound):
    def made(self, size: int, noise: torch.Generator) -> Dataset:
        data = super().made(size, noise)
        return Dataset(data.inputs.to("cpu", torch.float64), data.targets)  # type: ignore[arg-type]


class Larger(Sound):
    def data(self, split: Split) -> Dataset:
        data = super().data(split)
        return Dataset(data.inputs[:].padded(5), data.targets)


SOUND = TaskCard(
    name="mine",
    title="Mine",
    group=("S_n", "E(3)"),
    inputs=frozenset({"points"}),
    output="node_points",
    metric="mse",
    direction="min",
    control="mse_transformed",
    version="1",
    source="",
    implementation=Sound,
    max_nodes=lambda settings: 4,
    examples=lambda settings: SIZES,
    protocols={"quick": Protocol(epochs=1)},
)
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"implementation": Overlapping}, "no example in two splits", "6 of 6 examples of the validation split are in the"),
    ({"implementation": AnotherEachTime}, "determinism", "has other points when the task is made again"),
    ({"implementation": FirstCoordinate}, "targets are equivariant", r"do not transform under S_n x E\(3\)|not give"),
    ({"implementation": ScalarTargets}, "targets", r"should have the shape \[8, 4, 3, C\], not \[8, 3\]"),
    ({"implementation": ReadsPlaces}, "targets", "the loss changes from"),
    ({"implementation": ReadsCoordinates}, "targets", "mse changes from"),
    ({"implementation": WithoutGradient}, "metrics and loss", "the loss has no gradient"),
    ({"implementation": Double}, "inputs", "data should be in float32"),
    ({"implementation": Larger}, "inputs", "has structures of 5 nodes, and the signature says 4"),
    ({"metric": "mae"}, "metrics and loss", "the metric of the card is 'mae', which the task does not return"),
    ({"control": "mae"}, "metrics and loss", "the control of the card is 'mae', which the task does not return"),
    ({"direction": "max"}, "direction", "the direction of the metric mse is max"),
    ({"inputs": frozenset({"points", "vectors"})}, "inputs", "has no vectors, which the card names among its inputs"),
    ({"output": "graph_scalars"}, "inputs", "the output of the signature is node_points, and that of the card"),
    ({"max_nodes": lambda settings: 3}, "inputs", "structures have 4 nodes, and max_nodes of the card is 3"),
    ({"examples": lambda settings: {"train": 99}}, "sizes", "the train split has 12 examples, and the card says 99"),
    ({"version": ""}, "card", "the 'version' of its task card should be a text"),
]


@pytest.mark.parametrize("check", checks_of(SOUND, targets=means), ids=str)
def test_a_sound_task_of_a_plug_in_conforms(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(("changes", "name", "sentence"), BROKEN)
def test_a_broken_task_is_found_out(changes: dict[str, Any], name: str, sentence: str) -> None:
    broken = replace(SOUND, **changes)
    targets = changes.get("implementation", Sound).targets
    checks = checks_of(broken, targets=lambda x: targets(None, x))
    with pytest.raises(ConformanceError, match=sentence):
        next(check for check in checks if check.name.startswith(name))()
