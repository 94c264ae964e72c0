"""No symmetrization: the identity element, once."""

from __future__ import annotations

from baselines.catalogue.samplers import GroupSettings
from baselines.samplers.sampler import Sample, Sampler
from tasks.symmetry.groups import Group
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Signature, Structure


class IdentitySampler(Sampler):
    """The base model without symmetrization, a baseline that is not equivariant."""

    fixed_samples = 1
    deterministic = True

    def __init__(self, group: Group, signature: Signature, settings: GroupSettings) -> None:
        super().__init__(group, signature)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return ()

    def forward(self, x: Structure, noise: Noise) -> Sample:
        return Sample(self.group.identity(x))
