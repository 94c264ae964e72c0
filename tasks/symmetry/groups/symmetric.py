"""S_n."""

from __future__ import annotations

import torch

from tasks.symmetry.element import Permutation
from tasks.symmetry.groups.group import Group
from tasks.symmetry.noise import Generator, Noise, uniform
from tasks.symmetry.sorting import sort_descending
from tasks.symmetry.structure import Structure


class SymmetricGroup(Group):
    """S_n: permutations of the nodes that exist."""

    name = "S_n"

    def identity(self, x: Structure) -> Permutation:
        places = torch.arange(x.nodes, device=x.mask.device).expand(len(x), 1, -1)
        return Permutation(places, places)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return (uniform((len(x), samples, x.nodes), x.edge_scalars, generator),)

    def uniform(self, x: Structure, noise: Noise) -> Permutation:
        return Permutation.from_images(sort_descending(noise[0], x.mask[:, None]))

    def random(self, x: Structure, samples: int, generator: Generator) -> Permutation:
        return self.uniform(x, self.noise(x, samples, generator))
