"""A supervised task made of PyG data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tasks.errors import DataError
from tasks.pyg.data import OwnData
from tasks.pyg.scores import rows
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tasks.task import Dataset, Split, SupervisedTask


class OwnTask(SupervisedTask):
    """Structures and targets of one data set.

    Standardised targets have mean 0 and standard deviation 1 over the known targets of the training split; metrics are
    in the original units.

    Args:
        source: The data set.
        settings: The settings of its card.

    Raises:
        DataError: The data cannot be used, or are not those that ``settings`` names.
    """

    def __init__(self, source: OwnData, settings: Any) -> None:
        if reason := source.check(settings):
            raise DataError(f"A run on {source.chosen.name} cannot be computed: {reason}.")
        self._score, self._loss, self._kind = source.chosen.score, source.chosen.loss, source.chosen.kind
        structures, targets = source.structures, source.targets
        self.targets_may_be_unknown = targets.may_be_unknown  # type: ignore[misc]
        indices = source.indices(settings)
        self._mean, self._scale = torch.zeros(()), torch.ones(())
        if source.chosen.standardize:
            self._mean, self._scale = _moments(targets.values[indices["train"]])
        values = (targets.values - self._mean) / self._scale
        self._data = {name: Dataset(structures.taken(part), values[part]) for name, part in indices.items()}
        level = "node_points" if source.level == "node_vectors" else source.level
        self.signature = Signature.of(structures, Representation(level), targets.channels)

    def data(self, split: Split) -> Dataset:
        return self._data[split]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        if self._loss is None:
            return self._score.loss(predictions, targets)
        return self._loss(*self._rows(predictions, targets))

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        found, wanted = self._rows(predictions, targets)
        if self._kind == "regression":
            mean, scale = (moment.to(wanted.device, torch.float64) for moment in (self._mean, self._scale))
            found, wanted = found * scale + mean, wanted * scale + mean
        return {self._score.name: self._score.measure(found, wanted)}

    def _rows(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return rows(predictions, targets, self._kind, self.signature.output.has_nodes)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation ``[C]`` of known targets ``[..., C]``, 1 if it is 0."""
    flat = values.flatten(0, -2).double()
    mean = flat.nanmean(0).nan_to_num()
    scale = (flat - mean).square().nanmean(0).nan_to_num().sqrt()
    return mean.float(), torch.where(scale > 0, scale, 1.0).float()
