"""Losses and metrics of tasks made of PyG data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

Kind = Literal["regression", "classes", "labels"]
Direction = Literal["max", "min"]
UNKNOWN = -1
"""The class of absent nodes and of those that are not scored."""


@dataclass(frozen=True)
class Score:
    """A metric and the loss that goes with it.

    Attributes:
        name: The name of the metric.
        direction: Whether a larger or a smaller metric is better.
        measure: The metric of predictions and targets ``[R, ...]``, where R are graphs or existing nodes.
        loss: The loss of padded predictions and targets ``[B, ...]``.
    """

    name: str
    direction: Direction
    measure: Callable[[Tensor, Tensor], float]
    loss: Callable[[Tensor, Tensor], Tensor]


def known_mean(each: Tensor, targets: Tensor) -> Tensor:
    """The mean of ``each`` over the entries of ``targets`` that are not NaN; 0 if there is none."""
    known = ~targets.isnan()
    return (each * known).sum() / known.sum().clamp_min(1)


def absolute_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """The mean absolute error of known entries."""
    return known_mean((predictions - targets.nan_to_num()).abs(), targets)


def squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error of known entries."""
    return known_mean((predictions - targets.nan_to_num()).square(), targets)


def label_entropy(predictions: Tensor, targets: Tensor) -> Tensor:
    """The mean binary cross-entropy of logits over known labels."""
    each = binary_cross_entropy_with_logits(predictions.to(targets.dtype), targets.nan_to_num(), reduction="none")
    return known_mean(each, targets)


def class_entropy(predictions: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of logits ``[..., classes]`` for known classes ``[..., 1]``; 0 if there is none."""
    logits, classes = predictions.to(targets.dtype).flatten(0, -2), targets.flatten().long()
    total = cross_entropy(logits, classes, ignore_index=UNKNOWN, reduction="sum")
    return total / (classes != UNKNOWN).sum().clamp_min(1)


def _error(error: Callable[[Tensor, Tensor], Tensor], root: bool = False) -> Callable[[Tensor, Tensor], float]:
    def measure(predictions: Tensor, targets: Tensor) -> float:
        found = error(predictions.double(), targets.double()).item()
        return math.sqrt(found) if root else found

    return measure


def class_accuracy(predictions: Tensor, targets: Tensor) -> float:
    """The fraction of known classes ``[R]`` that have the largest logit of ``[R, classes]``; NaN if there is none."""
    known = targets != UNKNOWN
    return (predictions.argmax(-1) == targets)[known].double().mean().item()


def label_accuracy(predictions: Tensor, targets: Tensor) -> float:
    """The fraction of known labels on whose side of 0 the logit lies; NaN if there is none."""
    known = ~targets.isnan()
    return ((predictions > 0) == (targets > 0.5))[known].double().mean().item()


def _of_columns(metric: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], float]:
    def measure(predictions: Tensor, targets: Tensor) -> float:
        """The mean over labels with known examples of both kinds, as in OGB; NaN if there is none."""
        found = []
        chances = predictions.double().sigmoid().cpu()  # on a GPU cumulative sums are not deterministic
        for scores, labels in zip(chances.T, targets.cpu().T, strict=True):
            known = ~labels.isnan()
            truth = labels[known].long()
            if truth.any() and not truth.all():
                found.append(metric(scores[known], truth).item())
        return sum(found) / len(found) if found else math.nan

    return measure


_BUILT_IN: tuple[tuple[Kind, Score], ...] = (
    ("regression", Score("mae", "min", _error(absolute_error), absolute_error)),
    ("regression", Score("mse", "min", _error(squared_error), squared_error)),
    ("regression", Score("rmse", "min", _error(squared_error, root=True), squared_error)),
    ("classes", Score("accuracy", "max", class_accuracy, class_entropy)),
    ("labels", Score("accuracy", "max", label_accuracy, label_entropy)),
    ("labels", Score("roc_auc", "max", _of_columns(binary_auroc), label_entropy)),
    ("labels", Score("average_precision", "max", _of_columns(binary_average_precision), label_entropy)),
)
SCORES: Mapping[tuple[str, Kind], Score] = {(score.name, kind): score for kind, score in _BUILT_IN}
"""The built-in metrics, each with its loss, by name and kind of targets; the first kind of a name is the default."""

LOSSES: Mapping[Kind, Callable[[Tensor, Tensor], Tensor]] = {
    "regression": squared_error,
    "classes": class_entropy,
    "labels": label_entropy,
}
"""The loss that goes with a metric of one's own."""


def rows(predictions: Tensor, targets: Tensor, kind: Kind, of_nodes: bool) -> tuple[Tensor, Tensor]:
    """The form in which metrics and losses of one's own get their arguments.

    Args:
        predictions: ``[B, ...]`` or ``[B, N, ...]``.
        targets: Padded targets.
        kind: What the targets are.
        of_nodes: True if there is an axis of nodes.

    Returns:
        Predictions and targets of graphs, or of nodes with a known target, ``[R, ...]``. Classes are int64 ``[R]``.
    """
    classes = kind == "classes"
    if of_nodes:
        flat = targets.flatten(2)
        known = (flat != UNKNOWN).all(-1) if classes else ~flat.isnan().all(-1)
        predictions, targets = predictions[known], targets[known]
    return predictions, targets[:, 0].long() if classes else targets
