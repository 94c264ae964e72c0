"""The statistics of random predictions, on draws whose law is known."""

from __future__ import annotations

import pytest
import torch

from harness.verification.statistics import kolmogorov_smirnov, sign_flips, slope

SAMPLES = (1, 4, 16, 64)


@pytest.mark.parametrize("exponent", [0.0, -0.25, -0.5, -1.0])
def test_the_exponent_of_a_power_law_is_recovered(exponent: float) -> None:
    noise = torch.randn(4, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = torch.tensor(SAMPLES, dtype=torch.float64)[:, None] ** exponent
    assert slope(SAMPLES, 3 * exact.expand(-1, 5)).item() == pytest.approx(exponent, abs=1e-12)
    assert slope(SAMPLES, exact * noise).item() == pytest.approx(exponent, abs=0.1)


def test_a_bias_is_found_behind_chance_three_times_as_large() -> None:
    noise = torch.Generator().manual_seed(0)
    chance = torch.randn(40, 64, 30, dtype=torch.float64, generator=noise)
    p_values = torch.tensor([sign_flips(rounds) for rounds in chance])
    assert 0.3 < p_values.mean() < 0.7 and p_values.min() > 1e-3
    assert min(sign_flips(9 * rounds + 100) for rounds in chance) > 0  # what was seen is one of the flips
    assert max(sign_flips(3 * rounds + 1) for rounds in chance) < 1e-3


def test_p_values_are_uniform_where_nothing_differs() -> None:
    draws = torch.rand(2, 400, 2000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p_values = kolmogorov_smirnov(*draws)
    for level in (0.01, 0.05, 0.2, 0.5, 0.8):
        deviation = (level * (1 - level) / 2000) ** 0.5
        below = (p_values <= level).double().mean().item()
        assert abs(below - level) < 4 * deviation + 0.15 * level  # the steps of a finite sample are coarse


def test_p_values_of_atoms_err_on_the_side_of_no_difference() -> None:
    """Few values, and those computed with rounding errors."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(0, 3, (2, 400, 2000), generator=generator).double()
    rounding = 1e-14 * torch.randn(draws.shape, dtype=torch.float64, generator=generator)
    p_values = kolmogorov_smirnov(*(draws / 3 + rounding + torch.tensor([0.0, 1e-13])[:, None, None]))
    for level in (0.01, 0.05, 0.2):
        assert (p_values <= level).double().mean() < level + 0.01


def test_p_values_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(300, 20, dtype=torch.float64, generator=generator)
    second = torch.randn(200, 20, dtype=torch.float64, generator=generator) + torch.linspace(0, 0.5, 20)
    ours = kolmogorov_smirnov(first, second)
    theirs = [stats.ks_2samp(first[:, i], second[:, i], method="exact").pvalue for i in range(20)]
    expected = torch.tensor(theirs, dtype=torch.float64)
    assert ((ours - expected).abs() < 0.01 + 0.2 * expected).all()
