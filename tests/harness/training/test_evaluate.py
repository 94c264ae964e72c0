"""Curves over group samples are unbiased, and costs are what they say."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from harness.training import supervised
from harness.training.evaluate import curve, equivariance_errors, estimates
from harness.training.execute import execute
from harness.training.memory import device_peak, peak_memory, reset_device_peak
from tests.harness.training.small_problems import particles_spec

CPU = torch.device("cpu")


def mean_error(predictions: Tensor, targets: Tensor) -> float:
    return (predictions - targets).square().mean().item()


def test_curve_on_a_known_law() -> None:
    """Draws from Normal(mu, 4): the variance of the k-sample mean is 4 / k, the squared error 4 / k on top."""
    targets = torch.randn(400, 3, dtype=torch.float64)
    draws = targets[:, None] + 2 * torch.randn(400, 128, 3, dtype=torch.float64)
    for point in curve(draws, targets, mean_error, (1, 4, 16, 64)):
        assert point.variance == pytest.approx(4 / point.samples, rel=0.1)
        assert point.value == pytest.approx(4 / point.samples, rel=0.1)
        assert point.value_error < 0.1 * point.value


def test_the_error_of_a_point_is_the_standard_error_over_its_repeats() -> None:
    """Of estimates 1, 2 and 6 of one example with target 0: mean squares 1, 4 and 36; the variance is unbiased."""
    (point,) = curve(torch.tensor([[[1.0], [2.0], [6.0]]]), torch.zeros(1, 1), mean_error, (1,))
    values = torch.tensor([1.0, 4.0, 36.0], dtype=torch.float64)
    assert point.value == pytest.approx(values.mean().item())
    assert point.value_error == pytest.approx(values.std().item() / 3**0.5)
    assert point.variance == pytest.approx(7.0)


def test_estimates_use_every_draw_once() -> None:
    draws = torch.arange(12.0).reshape(1, 12, 1)
    torch.testing.assert_close(estimates(draws, 4)[:, 0, 0], torch.tensor([1.5, 5.5, 9.5]))
    assert estimates(draws, 5).shape[0] == 2


def test_a_flat_curve_takes_every_draw_for_an_estimate() -> None:
    targets = torch.zeros(400, 3, dtype=torch.float64)
    draws = 2 * torch.randn(400, 2, 3, dtype=torch.float64)
    first, last = curve(draws, targets, mean_error, (1, 64), flat=True)
    assert first.variance == last.variance == pytest.approx(4, rel=0.1)
    assert first.value == last.value == pytest.approx(4, rel=0.1)


def test_the_equivariance_error_of_a_known_law() -> None:
    """Two independent k-sample means of Normal(3, 4) differ by sqrt(8 / k); a bias of 1 stays whatever k."""
    draws = [3 + 2 * torch.randn(400, 128, 3, dtype=torch.float64) for _ in range(2)]
    for samples, error in zip((1, 4, 64), equivariance_errors(*draws, (1, 4, 64)), strict=True):
        assert error == pytest.approx((8 / samples) ** 0.5 / 3, rel=0.1)
    biased = equivariance_errors(draws[0], draws[1] + 1, (1, 64))
    assert biased == pytest.approx([(8 / k + 1) ** 0.5 / 3 for k in (1, 64)], rel=0.1)
    same = equivariance_errors(draws[0], draws[0], (1, 64), flat=True)
    assert same == [0.0, 0.0]


@pytest.mark.usefixtures("generated_data")
def test_runs_measure_how_equivariant_they_are_at_every_number_of_samples() -> None:
    """Group averaging by 1 / sqrt(k), frames and equivariant networks to rounding; alone a network is not."""

    def errors(method: str, **settings: object) -> list[float]:
        spec = particles_spec(method, epochs=1, curve_samples=(1, 16), curve_size=20, **settings)
        curve = execute(spec).curve
        return [point.equivariance for point in curve]

    first, last = errors("gnn-ga", curve_repeats=8)
    assert last == pytest.approx(first / 4, rel=0.2)
    assert errors("gnn-none")[0] == errors("gnn-none")[1] > first
    for method in ("egnn", "gnn-fa"):
        assert max(errors(method)) < 1e-4


def test_peak_memory_counts_what_is_alive_at_once() -> None:
    x = torch.ones(1000, 250)  # a million bytes

    def chain() -> None:
        y = x * 2
        for _ in range(5):
            y = y + 1

    def hoard() -> None:
        kept = [x * 2 for _ in range(5)]
        assert len(kept) == 5

    def fall() -> None:
        y = torch.cat([x, x, x])
        del y
        assert (x * 2).shape == x.shape

    assert peak_memory(chain, CPU) == 2_000_000
    assert peak_memory(fall, CPU) == 3_000_000
    assert peak_memory(hoard, CPU) == 5_000_000
    assert peak_memory(lambda: x.view(-1).add_(1), CPU) == 0


@pytest.mark.usefixtures("generated_data")
@pytest.mark.parametrize("peak", [None, 7_000_000])
def test_a_run_keeps_the_peak_of_its_training_on_an_accelerator(
    peak: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if peak is not None:
        monkeypatch.setattr(supervised, "device_peak", lambda device: peak)
    outcome = execute(particles_spec("gnn-ga", epochs=1))
    assert outcome.cost.get("train_peak_memory_bytes") == peak


def test_the_peak_of_an_accelerator_is_that_since_it_was_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"peak": 9, "now": 2}
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: held.update(peak=held["now"]))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: held["peak"])
    card = torch.device("cuda")
    reset_device_peak(card)
    assert device_peak(card) == 2
    held["peak"] = 5
    assert device_peak(card) == 5
    reset_device_peak(CPU)
    assert device_peak(CPU) is None and held["peak"] == 5


PAGE_FAULTS = """
import resource, torch
from harness.training.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        torch.ones(12_000_000)  # above the largest block that glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults(), keep_freed_memory(), (faults(), faults())[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be configured")
def test_freed_memory_is_kept() -> None:
    """The pages of a large tensor are faulted in once, not each time that one is made."""
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True, timeout=60)
    before, kept, after = done.stdout.split()
    assert kept == "True"
    assert int(after) < 0.1 * int(before)
