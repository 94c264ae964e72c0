"""Inner symmetry: an equivariant method has the same output for nodes that an automorphism of a graph exchanges.

The outputs of untrained networks at the nodes of five small graphs are compared (Kim et al. 2023, appendix).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.settings import NoSettings
from tasks.sources.small_graphs import EXAMPLES, orbits
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tasks.task import Dataset, Split, SupervisedTask


class InnerSymmetry(SupervisedTask):
    """The five graphs, padded to 25 nodes, with node scalars 0.

    The target of a node is the index of the first node of its orbit, or -1 for an absent node. All splits are the same,
    and no protocol trains.
    """

    def __init__(self, settings: NoSettings) -> None:
        size = max(example.nodes for example in EXAMPLES.values())
        counts = torch.tensor([example.nodes for example in EXAMPLES.values()])
        adjacency = torch.zeros(len(EXAMPLES), size, size)
        labels = torch.full((len(EXAMPLES), size, 1), -1.0)
        for place, example in enumerate(EXAMPLES.values()):
            adjacency[place, : example.nodes, : example.nodes] = torch.from_numpy(example.adjacency)
            labels[place, : example.nodes, 0] = torch.from_numpy(orbits(example.adjacency)).float()
        mask = torch.arange(size) < counts[:, None]
        structures = Structure.build(mask, node_scalars=torch.zeros(*mask.shape, 1), edge_scalars=adjacency[..., None])
        self._data = Dataset(structures, labels)
        self.signature = Signature.of(structures, Representation.NODE_SCALARS, 1)

    def data(self, split: Split) -> Dataset:
        return self._data

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The variance of outputs within orbits."""
        return orbit_variances(predictions, targets)[0]

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """``spread_ratio``, the spread within orbits divided by that between orbits, and ``spread_within_orbits``.

        The ratio is 0 for an equivariant method that distinguishes orbits. If a method does not distinguish them (group
        averaging without training), both spreads are due to sampling: their ratio stays near 1 while
        ``spread_within_orbits`` falls with the number of samples.
        """
        within, between = orbit_variances(predictions.double(), targets)
        return {"spread_ratio": (within / between).sqrt().item(), "spread_within_orbits": within.sqrt().item()}


def orbit_variances(values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The variances within orbits and between the orbits of a graph, over all graphs.

    They are the mean squares of an analysis of variance. If values do not depend on orbits, their ratio is about 1.

    Args:
        values: ``[B, N, 1]``.
        labels: The orbit of each node from 0 to N - 1, or negative for absent nodes, ``[B, N, 1]``.
    """
    mask = (labels[..., 0] >= 0).to(values.dtype)
    member = torch.nn.functional.one_hot(labels[..., 0].clamp_min(0).long(), labels.shape[1]) * mask[..., None]
    size = member.sum(1)
    means = (member * values).sum(1) / size.clamp_min(1)
    centre = (mask[..., None] * values).sum(1) / mask.sum(1, keepdim=True)
    within = (member * (values - means[:, None]).square()).sum() / (mask.sum() - (size > 0).sum())
    between = (size * (means - centre).square()).sum() / ((size > 0).sum() - len(values))
    return within, between
