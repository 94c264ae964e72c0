"""S_n."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.symmetry.element import Permutation
from tasks.symmetry.groups.group import NodeGroup
from tasks.symmetry.sorting import sort_descending
from tasks.symmetry.structure import Structure


class SymmetricGroup(NodeGroup):
    """S_n: permutations of the nodes that exist."""

    name = "S_n"

    def identity(self, x: Structure) -> Permutation:
        return identity_permutation(x)

    def head(self, x: Structure, scores: Tensor) -> Permutation:
        """g whose inverse puts nodes in descending order of their scores."""
        return Permutation.from_images(sort_descending(scores, x.mask[:, None]))


def identity_permutation(x: Structure) -> Permutation:
    """``[B, 1]`` of it."""
    places = torch.arange(x.nodes, device=x.mask.device).expand(len(x), 1, -1)
    return Permutation(places, places)
