"""Statistics of random predictions: how their error falls, whether they have a bias, and whether two laws are one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.training.seeds import generator

SIGNIFICANCE = 1e-3
RESAMPLES = 500
SIGN_FLIPS = 4000  # so that the smallest p-value is well below the level of significance
PROJECTIONS = 8
TIE = 1e-9  # statistics this close count as equal: they are computed in two ways, which differ by rounding
CPU = torch.device("cpu")


def slope(samples: Sequence[int], errors: Tensor) -> Tensor:
    """Returns ``[...]``: the exponent of a power law, fitted by least squares in logarithms.

    The law is that of the root mean squares over rounds of ``errors`` ``[..., len(samples), rounds]``.
    """
    x = torch.tensor(samples, dtype=torch.float64).log()
    y = errors.square().mean(-1).clamp_min(torch.finfo(torch.float64).tiny).log() / 2
    x = x - x.mean()
    return (y * x).sum(-1) / x.square().sum()


def resampled_slopes(samples: Sequence[int], errors: Tensor) -> Tensor:
    """Returns ``[RESAMPLES]``: slopes for rounds that are drawn with replacement, the same ones for all numbers k.

    Args:
        samples: As in :func:`slope`.
        errors: ``[len(samples), rounds]``.
    """
    index = torch.randint(errors.shape[1], (RESAMPLES, 1, errors.shape[1]), generator=generator(CPU, 0, "resample"))
    return slope(samples, errors.expand(RESAMPLES, -1, -1).gather(-1, index.expand(-1, len(errors), -1)))


def sign_flips(differences: Tensor) -> float:
    """Returns the p-value of a mean other than 0 for ``differences`` ``[..., M]`` that are symmetric if it is 0.

    The squared norm of their sum is compared with that of the sum with random signs, which is exact for any
    distribution.
    """
    rows = differences.flatten(0, -2)
    gram = rows @ rows.mT
    signs = torch.randint(0, 2, (SIGN_FLIPS, len(rows)), generator=generator(CPU, 0, "signs")).to(gram) * 2 - 1
    flipped = ((signs @ gram) * signs).sum(-1)
    return ((flipped >= gram.sum()).sum().item() + 1) / (SIGN_FLIPS + 1)


@dataclass(frozen=True)
class Law:
    """The result of two-sample tests of g' times elements drawn for x against elements drawn for g'x.

    Attributes:
        draws: The number of elements for each structure.
        statistics: The number of tests.
        p_value: The smallest p-value times their number (Bonferroni), at most 1.
    """

    draws: int
    statistics: int
    p_value: float

    @property
    def agrees(self) -> bool:
        """Whether no difference is significant."""
        return self.p_value >= SIGNIFICANCE


def one_law(here: Tensor, there: Tensor, noise: torch.Generator) -> Law:
    """Tests whether draws of two kinds have the same distribution.

    The statistics are their entries and some random combinations of these, for each structure.

    Args:
        here: ``[B, draws, M]``.
        there: ``[B, draws, M]``.
        noise: The source of the combinations.
    """
    draws, pooled = here.shape[1], torch.cat([here, there], 1)
    spread = pooled.std(1, keepdim=True)
    weights = torch.randn(
        len(pooled), pooled.shape[-1], PROJECTIONS, dtype=pooled.dtype, device=pooled.device, generator=noise
    )
    scaled = torch.where(spread > TIE, (pooled - pooled.mean(1, keepdim=True)) / spread, 0.0)
    statistics = torch.cat([pooled, scaled @ weights], -1).movedim(1, 0).flatten(1)
    statistics = statistics[:, statistics.amax(0) - statistics.amin(0) > TIE]  # without constants
    p_values = kolmogorov_smirnov(statistics[:draws], statistics[draws:])
    count = p_values.numel()
    return Law(draws, count, min(1.0, count * p_values.amin().item()) if count else 1.0)


def kolmogorov_smirnov(first: Tensor, second: Tensor) -> Tensor:
    """Returns ``[M]``: asymptotic p-values of the two-sample test for each column of ``[n, M]`` and ``[m, M]``.

    A permutation test would need millions of permutations for p-values that are significant after Bonferroni over a
    thousand statistics. Values that are equal up to rounding are one step of both distributions, which is conservative.
    """
    n, m = len(first), len(second)
    values, order = torch.cat([first, second]).sort(0)
    step = torch.cat([first.new_full((n,), 1 / n), first.new_full((m,), -1 / m)])
    difference = step[order].cumsum(0)
    last = torch.ones_like(values, dtype=torch.bool)
    last[:-1] = values.diff(dim=0) > TIE
    distance = (difference.abs() * last).amax(0)
    root = math.sqrt(n * m / (n + m))
    x = (root + 0.12 + 0.11 / root) * distance  # Stephens' correction for finite samples
    terms = torch.arange(1, 101, dtype=first.dtype, device=first.device)[:, None]
    series = 2 * (-((-1.0) ** terms) * (-2 * terms.square() * x.square()).exp()).sum(0)
    return torch.where(x < 0.3, 1.0, series).clamp(0, 1)  # below, the series converges slowly, to 1
