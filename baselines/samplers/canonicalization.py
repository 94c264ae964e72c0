"""Canonicalization: the one group element that an equivariant network picks (Kaba et al. 2023)."""

from __future__ import annotations

from baselines.catalogue.samplers import LearnedSettings, QSettings
from baselines.samplers.probabilistic import LearnedSampler
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Signature


class CanonicalSampler(LearnedSampler):
    """The learned sampler without noise, once. What breaks ties remains: symmetric inputs leave a choice to chance."""

    fixed_samples = 1

    def __init__(self, group: Group, signature: Signature, settings: QSettings) -> None:
        super().__init__(group, signature, LearnedSettings(**vars(settings), noise_scale=0.0))
