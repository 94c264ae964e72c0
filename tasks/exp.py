"""EXP: pairs of formula graphs that 1-WL does not distinguish. EXP-classify: whether the formula is satisfiable.

Abboud et al. 2021; splits and features as in Kim et al. 2023, section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tasks.catalogue.graphs import ExpSettings
from tasks.errors import DataError
from tasks.graphs import typed_graphs
from tasks.sources.cache import folders
from tasks.sources.exp import OFFICIAL_NAME, OFFICIAL_SHA256, generated, official
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, Probabilistic, SeparationTask, Split

MAX_NODES = 64
EMBEDDING = 10
SPLITS: Mapping[Split, slice] = {"validation": slice(0, 200), "test": slice(200, 400), "train": slice(400, 1200)}


def formula_graphs(settings: ExpSettings) -> tuple[Structure, Tensor]:
    """The 1,200 official graphs, or as many generated in the same way, with labels.

    Args:
        settings: ``data`` is ``official`` or ``generated``.

    Returns:
        The graphs, with the graphs of a pair next to each other, and labels ``[1200, 1]``.

    Raises:
        DataError: The official set is not in a data folder.
        ValueError: ``data`` has another value.
    """
    if settings.data not in ("official", "generated"):
        raise ValueError(f"data of EXP must be official or generated, not '{settings.data}'")
    graphs = official() if settings.data == "official" else generated(seed=settings.generator_seed)
    if graphs is None:
        raise DataError(
            f"The official EXP set is in none of {', '.join(map(str, folders()))}: put {OFFICIAL_NAME} there, the "
            f"arrays of GRAPHSAT.pkl of Abboud et al. 2021 (SHA-256 {OFFICIAL_SHA256}), or use generated graphs with "
            "task_params.data=generated."
        )
    structures = typed_graphs(
        torch.from_numpy(graphs.node_offset),
        torch.from_numpy(graphs.edge_offset),
        torch.from_numpy(graphs.node_type),
        torch.from_numpy(graphs.edge_index).long(),
        nodes=MAX_NODES,
    )
    return structures, torch.from_numpy(graphs.label).float()[:, None]


class Exp(SeparationTask):
    """The 600 pairs, to be separated by embeddings of untrained models."""

    threshold = 0.001

    def __init__(self, settings: ExpSettings) -> None:
        self._graphs, _ = formula_graphs(settings)
        self.signature = Signature.of(self._graphs, Representation.GRAPH_SCALARS, EMBEDDING)

    def structures(self) -> Structure:
        return self._graphs

    def pairs(self) -> Tensor:
        return torch.arange(len(self._graphs)).unflatten(0, (-1, 2))


class ExpClassify(Probabilistic):
    """Classification of formulas as satisfiable or not."""

    def __init__(self, settings: ExpSettings) -> None:
        self._data = Dataset(*formula_graphs(settings))
        self.signature = Signature.of(self._data.inputs, Representation.GRAPH_SCALARS, 1)

    def data(self, split: Split) -> Dataset:
        return Dataset(*self._data[SPLITS[split]])

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(predictions, targets)

    def outputs(self, predictions: Tensor) -> Tensor:
        """The probability that a formula is satisfiable."""
        return predictions[..., 0].sigmoid()

    def losses(self, predictions: Tensor, targets: Tensor) -> Tensor:
        labels = targets.expand_as(predictions)
        return binary_cross_entropy_with_logits(predictions, labels, reduction="none")[..., 0]

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {"accuracy": ((predictions > 0) == (targets > 0.5)).double().mean().item()}
