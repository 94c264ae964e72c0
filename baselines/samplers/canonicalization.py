"""Canonicalization: one group element from an equivariant network (Kaba et al. 2023)."""

from __future__ import annotations

from baselines.catalogue.samplers import ProbabilisticSettings, QSettings
from baselines.samplers.probabilistic import ProbabilisticSymmetrization
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Signature


class Canonicalization(ProbabilisticSymmetrization):
    """Probabilistic symmetrization without noise, with one sample.

    Ties are still broken at random, so the element is random for symmetric inputs.
    """

    fixed_samples = 1

    def __init__(self, group: Group, signature: Signature, settings: QSettings) -> None:
        super().__init__(group, signature, ProbabilisticSettings(**vars(settings), noise_scale=0.0))
