"""Group averaging: uniform group elements, independent of the input."""

from __future__ import annotations

from baselines.catalogue.samplers import GroupSettings
from baselines.samplers.sampler import Sample, Sampler
from tasks.symmetry.groups import AffineGroup, Group, factors
from tasks.symmetry.names import no_haar_measure
from tasks.symmetry.noise import Generator, Noise
from tasks.symmetry.structure import Signature, Structure


class GroupAveraging(Sampler):
    """Uniform elements of the compact part of a group; translations move the centroid to the origin.

    Raises:
        ValueError: The group has no Haar probability measure (Aff(d)).

    Example:
        >>> import torch
        >>> from tasks.symmetry.groups import group
        >>> from tasks.symmetry.representation import Representation
        >>> x = Structure.build(torch.ones(2, 4, dtype=torch.bool), node_scalars=torch.eye(4).repeat(2, 1, 1))
        >>> signature = Signature.of(x, Representation.NODE_SCALARS, output_channels=1)
        >>> sampler = GroupAveraging(group(("S_n",)), signature, GroupSettings())
        >>> noise = sampler.noise(x, samples=3, generator=torch.Generator().manual_seed(0))
        >>> g = sampler(x, noise).element
        >>> g.images.shape
        torch.Size([2, 3, 4])
        >>> g.images.sort(-1).values[0, 0].tolist()
        [0, 1, 2, 3]
        >>> bool((g.compose(g.inverse()).images == torch.arange(4)).all())
        True
    """

    def __init__(self, group: Group, signature: Signature, settings: GroupSettings) -> None:
        super().__init__(group, signature)
        for factor in factors(group):
            if isinstance(factor, AffineGroup):
                raise ValueError(no_haar_measure(factor.name))

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return self.group.noise(x, samples, generator)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        return Sample(self.group.uniform(x, noise))
