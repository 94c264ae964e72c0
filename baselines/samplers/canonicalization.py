"""Canonicalization: the one group element that an equivariant network picks (Kaba et al. 2023)."""

from __future__ import annotations

from baselines.catalogue.samplers import ProbabilisticSettings, QSettings
from baselines.samplers.probabilistic import ProbabilisticSymmetrization
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Signature


class Canonicalization(ProbabilisticSymmetrization):
    """The learned sampler without noise, once. What breaks ties remains: symmetric inputs leave a choice to chance."""

    fixed_samples = 1

    def __init__(self, group: Group, signature: Signature, settings: QSettings) -> None:
        super().__init__(group, signature, ProbabilisticSettings(**vars(settings), noise_scale=0.0))
