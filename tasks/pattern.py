"""PATTERN: the nodes of a stochastic block model that belong to a planted pattern.

Dwivedi et al. 2020 (Benchmarking graph neural networks); as used in Kim et al. 2023, section 4.3.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot, pad

from tasks.catalogue.nodes import PatternSettings
from tasks.ragged import UNLABELLED, RaggedGraphs
from tasks.sources.pattern import SYMBOLS, generated, official
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tasks.task import Dataset, Split, SupervisedTask

CLASSES = 2
SCORED_BATCH = 128


class PatternTask(SupervisedTask):
    """Node scalars are one-hot symbols, edge scalars are 1.

    Targets ``[M, N, 1]`` are 1 for nodes in the pattern, 0 for others and -1 for absent nodes. The graphs are the first
    of each split of the published set (``data: official``) or generated.

    Raises:
        ValueError: ``data`` has another value.
    """

    def __init__(self, settings: PatternSettings) -> None:
        if settings.data == "official":
            found = official()
        elif settings.data == "generated":
            found = generated(settings.nodes, settings.sizes, settings.patterns, settings.data_seed)
        else:
            raise ValueError(f"data of PATTERN must be official or generated, not '{settings.data}'")
        self._data: dict[str, Dataset] = {}
        for split, part in found.items():
            inputs = RaggedGraphs.of(part.graphs, settings.nodes, (SYMBOLS,))
            targets = torch.full(inputs.outline.mask.shape, UNLABELLED, dtype=torch.float32)
            targets[inputs.outline.mask] = torch.from_numpy(part.label).float()
            self._data[split] = Dataset(inputs, targets[..., None]).first(settings.sizes[split])
        self.signature = Signature.of(self._data["train"].inputs, Representation.NODE_SCALARS, CLASSES)

    def data(self, split: Split) -> Dataset:
        return self._data[split]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy of logits ``[M, N, 2]`` over existing nodes.

        A class is weighted by the number of nodes of the other class in the batch, as in the benchmark.
        """
        labels = targets[..., 0].long()
        counts = memberships(labels).sum((0, 1)).to(targets.dtype)
        weight = torch.where(counts > 0, 1 - counts / counts.sum(), 0.0)
        logits = predictions.to(targets.dtype).flatten(0, 1)
        return cross_entropy(logits, labels.flatten(), weight, ignore_index=int(UNLABELLED))

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """``accuracy``, the mean recall of the classes in every batch of 128 graphs, averaged over batches.

        As in the benchmark, a class without nodes in a batch has recall 0 if it is predicted and is ignored otherwise,
        and equal logits predict class 0.
        """
        labels = targets[..., 0].long()
        predicted = (predictions[..., 1] > predictions[..., 0]).long()
        members, chosen = memberships(labels), one_hot(predicted, CLASSES) * (labels >= 0)[..., None]
        hits, sizes, choices = (batch_sums(counts) for counts in (members * chosen, members, chosen))
        recalls, counted = hits / sizes.clamp_min(1), sizes + choices > 0
        return {"accuracy": (recalls.sum(-1) / counted.sum(-1)).mean().item()}


def memberships(labels: Tensor) -> Tensor:
    """The one-hot classes ``[M, N, 2]`` of ``labels`` ``[M, N]``, zero for absent nodes."""
    return one_hot(labels.clamp_min(0), CLASSES) * (labels >= 0)[..., None]


def batch_sums(counts: Tensor) -> Tensor:
    """Sums of ``counts`` ``[M, N, C]`` over the nodes of consecutive batches of graphs, float64 ``[batches, C]``."""
    of_graphs = counts.sum(1).double()
    missing = -len(of_graphs) % SCORED_BATCH
    return pad(of_graphs, (0, 0, 0, missing)).unflatten(0, (-1, SCORED_BATCH)).sum(1)
