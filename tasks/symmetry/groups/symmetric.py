"""S_n, the symmetric group."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tasks.symmetry.element import Permutation
from tasks.symmetry.groups.group import NodeGroup
from tasks.symmetry.representation import Representation
from tasks.symmetry.sinkhorn import soft_identity
from tasks.symmetry.sorting import sort_descending
from tasks.symmetry.structure import Structure

UNIT_SPREAD = 2**0.5  # the largest difference of two entries of a unit vector


class SymmetricGroup(NodeGroup):
    """S_n, the permutations of the nodes that exist."""

    name = "S_n"

    def identity(self, x: Structure) -> Permutation:
        return identity_permutation(x)

    def head(self, x: Structure, scores: Tensor) -> Permutation:
        """The permutations whose inverse sorts nodes in descending order of their scores."""
        return Permutation.from_images(sort_descending(scores, x.mask[:, None]))

    def relaxed_head(self, x: Structure, scores: Tensor, temperature: float, steps: int) -> Permutation:
        """The head with Sinkhorn-normalised SoftSort (:func:`~tasks.symmetry.sinkhorn.soft_identity`) as relaxation."""
        mask = x.mask[:, None].expand_as(scores)
        hard = Permutation.from_images(sort_descending(scores, mask))
        in_order = hard.inverse().act(scores[..., None], Representation.NODE_SCALARS).squeeze(-1)
        soft = soft_identity(in_order.flatten(0, 1), mask.flatten(0, 1), temperature, steps, UNIT_SPREAD)
        return replace(hard, relaxation=soft.view(*scores.shape, -1))


def identity_permutation(x: Structure) -> Permutation:
    """The identity permutation, one for each structure."""
    places = torch.arange(x.nodes, device=x.mask.device).expand(len(x), 1, -1)
    return Permutation(places, places)
