"""Inner symmetry: nodes that an automorphism of a graph exchanges are alike, so a symmetric method treats them alike.

Five small graphs, no training: what an untrained network puts out at each node (Kim et al. 2023, appendix).
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
    """The graphs, padded to 25 nodes, whose node features are 0; the target of a node is the number of its orbit.

    An orbit is numbered by its first node; absent nodes have -1. The splits are one and the same, and protocols train
    for no epoch.
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
        """The variance within orbits."""
        return orbit_variances(predictions, targets)[0]

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """``spread_ratio``: the spread within orbits over that between orbits.

        0 for a symmetric method that tells orbits apart. Of one that does not, both spreads are chance and their ratio
        stays near 1 while ``spread_within_orbits`` falls with the samples: group averaging without training.
        """
        within, between = orbit_variances(predictions.double(), targets)
        return {"spread_ratio": (within / between).sqrt().item(), "spread_within_orbits": within.sqrt().item()}


def orbit_variances(values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The variances of ``values`` ``[B, N, 1]`` within orbits and between those of a graph, over all graphs together.

    ``labels`` ``[B, N, 1]`` are from 0 to N - 1, or negative where there is no node. These are the two mean squares of
    an analysis of variance, per degree of freedom: where orbits mean nothing, their ratio is about 1.
    """
    mask = (labels[..., 0] >= 0).to(values.dtype)
    member = torch.nn.functional.one_hot(labels[..., 0].clamp_min(0).long(), labels.shape[1]) * mask[..., None]
    size = member.sum(1)
    means = (member * values).sum(1) / size.clamp_min(1)
    centre = (mask[..., None] * values).sum(1) / mask.sum(1, keepdim=True)
    within = (member * (values - means[:, None]).square()).sum() / (mask.sum() - (size > 0).sum())
    between = (size * (means - centre).square()).sum() / ((size > 0).sum() - len(values))
    return within, between
