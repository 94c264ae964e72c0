"""PCQM-Contact: pairs of atoms far apart along the bonds of a molecule that are close in space.

Dwivedi et al. 2022 (Long range graph benchmark); as used in Kim et al. 2023, section 4.4.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tasks.catalogue.long_range import PCQMContactSettings
from tasks.ragged import ABSENT, RaggedGraphs, RaggedPairs, Segments
from tasks.sources import lrgb
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature
from tasks.task import Dataset, Split, SupervisedTask

ATOM_CLASSES = (35, 3, 7, 7, 2, 4, 6, 2, 2)  # the classes that occur, as in Kim et al. 2023
BOND_CLASSES = (4, 1, 1)
HITS = (1, 3, 10)
BLOCK = 4096


class PCQMContact(SupervisedTask):
    """Node and edge scalars are as for peptides; targets ``[M, N, N, 1]`` are labels of pairs, 1 for a contact."""

    archive = lrgb.PCQM_CONTACT

    def __init__(self, settings: PCQMContactSettings) -> None:
        nodes = settings.nodes
        self._data: dict[str, Dataset] = {}
        for split, part in lrgb.contacts(self.archive).items():
            labels = RaggedPairs(
                size=nodes,
                node_counts=torch.from_numpy(part.graphs.node_counts),
                pairs=Segments.between(torch.from_numpy(part.pair_offset)),
                index=torch.from_numpy(part.pair_index),
                label=torch.from_numpy(part.pair_label),
            )
            self._data[split] = Dataset(RaggedGraphs.of(part.graphs, nodes, ATOM_CLASSES, BOND_CLASSES), labels)
        self.signature = Signature.of(self._data["train"].inputs, Representation.EDGE_SCALARS, 1)

    def data(self, split: Split) -> Dataset:
        return self._data[split]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The mean binary cross-entropy of logits ``[M, N, N, 1]`` over labelled pairs."""
        labelled = targets >= 0
        each = binary_cross_entropy_with_logits(predictions.to(targets.dtype), targets.clamp_min(0), reduction="none")
        return (each * labelled).sum() / labelled.sum()

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """``mrr``, ``hits1``, ``hits3`` and ``hits10``, without filtering, as in the benchmark.

        For each contact (i, j), j is ranked by its score among all atoms k of the molecule, including k = i and other
        contacts. The rank is 1 plus the number of higher scores and half of the number of other equal scores. (In the
        benchmark the order of equal scores depends on a sort that ranks the contact first.) Metrics are averaged over
        the contacts of a molecule and then over molecules; a molecule without contacts scores 0.
        """
        contacts = (targets[..., 0] > 0.5).nonzero()
        parts = [contact_ranks(predictions[..., 0], targets[..., 0] > ABSENT, part) for part in contacts.split(BLOCK)]
        ranks = torch.cat(parts)
        scores = {"mrr": 1 / ranks} | {f"hits{k}": (ranks <= k).double() for k in HITS}
        return {name: _mean_over_molecules(values, contacts[:, 0], len(targets)) for name, values in scores.items()}


def contact_ranks(scores: Tensor, exist: Tensor, contacts: Tensor) -> Tensor:
    """The ranks of contacts among the scores of their molecule.

    Args:
        scores: ``[M, N, N]``.
        exist: True for pairs that exist, ``[M, N, N]``.
        contacts: Indices (molecule, i, j), ``[P, 3]``.

    Returns:
        Ranks ``[P]``, float64.
    """
    molecule, first, second = contacts.unbind(-1)
    row, own = scores[molecule, first], scores[molecule, first, second][:, None]
    others = exist[molecule, first] & (torch.arange(row.shape[1], device=row.device) != second[:, None])
    return 1 + ((row > own) & others).sum(-1) + ((row == own) & others).sum(-1).double() / 2


def _mean_over_molecules(values: Tensor, molecule: Tensor, count: int) -> float:
    """The mean over ``count`` molecules of the means of ``values`` ``[P]`` over each ``molecule`` ``[P]``."""
    sums = values.new_zeros(count).index_add_(0, molecule, values)
    numbers = values.new_zeros(count).index_add_(0, molecule, torch.ones_like(values))
    return (sums / numbers.clamp_min(1)).mean().item()
