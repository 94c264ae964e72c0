"""Tasks whose targets are one-hot classes of whole structures."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import cross_entropy

from tasks.task import Dataset, Split, SupervisedTask


class Classification(SupervisedTask):
    """Cross-entropy and accuracy of classes; a subclass sets the data of each split."""

    _data: Mapping[str, Dataset]

    def data(self, split: Split) -> Dataset:
        return self._data[split]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {"accuracy": (predictions.argmax(-1) == targets.argmax(-1)).double().mean().item()}
