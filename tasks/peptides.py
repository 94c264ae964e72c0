"""Peptides-func and Peptides-struct: the functions and the shape of a peptide from its bonds.

Dwivedi et al. 2022 (Long range graph benchmark); as used in Kim et al. 2023, section 4.4.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss
from torchmetrics.functional.classification import binary_average_precision
from torchmetrics.functional.regression import r2_score

from tasks.catalogue.long_range import PeptidesSettings
from tasks.errors import DataError
from tasks.ragged import RaggedGraphs
from tasks.sources import lrgb
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tasks.task import Dataset, Split, SupervisedTask

ATOM_CLASSES = (17, 3, 7, 7, 5, 1, 6, 2, 2)  # the classes that occur, as in Kim et al. 2023
BOND_CLASSES = (4, 1, 2)


class Peptides(SupervisedTask):
    """Node scalars are one-hot classes of atoms; edge scalars are 1 and one-hot classes of bonds."""

    archive: lrgb.Archive

    def __init__(self, settings: PeptidesSettings) -> None:
        self._data: dict[str, Dataset] = {}
        for split, part in lrgb.peptides(self.archive).items():
            inputs = RaggedGraphs.of(part.graphs, settings.nodes, ATOM_CLASSES, BOND_CLASSES)
            self._data[split] = Dataset(inputs, torch.from_numpy(part.target))
        train = self._data["train"]
        self.signature = Signature.of(train.inputs, Representation.GRAPH_SCALARS, train.targets[:1].shape[1])

    def data(self, split: Split) -> Dataset:
        return self._data[split]


class PeptidesFunc(Peptides):
    """Ten binary labels, one for each function; unknown labels are NaN."""

    archive = lrgb.PEPTIDES_FUNC
    targets_may_be_unknown = True

    def __init__(self, settings: PeptidesSettings) -> None:
        super().__init__(settings)
        for split, data in self._data.items():
            labels = data.targets[:]
            if not ((labels == 0) | (labels == 1) | labels.isnan()).all():
                raise DataError(f"A {split} label of Peptides-func is neither 0 nor 1: replace {self.archive.name}.")

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The mean binary cross-entropy of logits ``[M, 10]`` over known labels."""
        known = ~targets.isnan()
        labels = targets.nan_to_num(0.0)
        each = binary_cross_entropy_with_logits(predictions.to(targets.dtype), labels, reduction="none")
        return (each * known).sum() / known.sum()

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """``ap``, the average precision of a function over peptides with a known label, averaged over functions.

        As in the benchmark, probabilities are in single precision, so that those that round to one are equal, and a
        function that no peptide has scores 0. ``ap`` is NaN if no label is known.
        """
        found = []
        probabilities = predictions.float().sigmoid().cpu()  # on a GPU cumulative sums are not deterministic
        for scores, labels in zip(probabilities.T, targets.cpu().T, strict=True):
            known = ~labels.isnan()
            truth = labels[known].long()
            if truth.any():
                found.append(binary_average_precision(scores[known], truth).item())
            elif len(truth):
                found.append(0.0)
        return {"ap": sum(found) / len(found) if found else float("nan")}


class PeptidesStruct(Peptides):
    """Eleven properties of the shape of a peptide, standardised in the published files."""

    archive = lrgb.PEPTIDES_STRUCT

    def __init__(self, settings: PeptidesSettings) -> None:
        super().__init__(settings)
        for split, data in self._data.items():
            if not data.targets[:].isfinite().all():
                raise DataError(f"A {split} target of Peptides-struct is not finite: replace {self.archive.name}.")

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return l1_loss(predictions.to(targets.dtype), targets)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """``mae``, and ``r2`` averaged over the properties."""
        return {
            "mae": l1_loss(predictions.double(), targets.double()).item(),
            "r2": r2_score(predictions.double(), targets.double()).item(),
        }
