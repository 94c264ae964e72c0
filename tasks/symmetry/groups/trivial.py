"""The trivial group, of tasks without a symmetry."""

from __future__ import annotations

from torch import Tensor

from tasks.symmetry.element import Permutation
from tasks.symmetry.groups.group import NodeGroup
from tasks.symmetry.groups.symmetric import identity_permutation
from tasks.symmetry.structure import Structure


class TrivialGroup(NodeGroup):
    """The group whose only element leaves every node at its place."""

    name = "trivial"

    def identity(self, x: Structure) -> Permutation:
        return identity_permutation(x)

    def head(self, x: Structure, scores: Tensor) -> Permutation:
        """The identity, whatever the scores."""
        samples = scores.shape[1]
        identity = identity_permutation(x)
        return Permutation(identity.images.expand(-1, samples, -1), identity.preimages.expand(-1, samples, -1))

    def relaxed_head(self, x: Structure, scores: Tensor, temperature: float, steps: int) -> Permutation:
        """The identity; the scores get no gradient."""
        return self.head(x, scores)
