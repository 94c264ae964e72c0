"""Group averaging: elements from Haar measure, whatever the input."""

from __future__ import annotations

from baselines.catalogue.samplers import GroupSettings
from baselines.samplers.sampler import Sample, Sampler
from tasks.symmetry.groups import AffineGroup, Group, factors
from tasks.symmetry.names import no_haar_measure
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Signature, Structure


class HaarSampler(Sampler):
    """Uniform on the group's compact part (translations are taken to the centroid)."""

    def __init__(self, group: Group, signature: Signature, settings: GroupSettings) -> None:
        super().__init__(group, signature)
        for factor in factors(group):
            if isinstance(factor, AffineGroup):
                raise ValueError(no_haar_measure(factor.name))

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return self.group.noise(x, samples, generator)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        return Sample(self.group.uniform(x, noise))
