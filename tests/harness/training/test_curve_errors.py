"""The standard errors of a curve over group samples, in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.training.evaluate import curve


def first(predictions: Tensor, targets: Tensor) -> float:
    return float((predictions - targets)[0, 0])


def test_the_error_of_a_point_is_that_of_the_mean_over_disjoint_groups_of_draws() -> None:
    """Draws 0, 6, 3, 9, 12, 0: alone, in pairs (3, 6, 6) and in threes (3, 7)."""
    draws = torch.tensor([0.0, 6.0, 3.0, 9.0, 12.0, 0.0], dtype=torch.float64).reshape(1, 6, 1)
    one, two, three, six = curve(draws, torch.ones(1, 1, dtype=torch.float64), first, (1, 2, 3, 6))
    assert (one.value, two.value, three.value, six.value) == pytest.approx((4.0, 4.0, 4.0, 4.0))
    assert one.variance == pytest.approx(24.0)  # of 0, 6, 3, 9, 12, 0 about 5: 120 / 5
    assert two.variance == pytest.approx(3.0)
    assert three.variance == pytest.approx(8.0)
    for point, repeats in ((one, 6), (two, 3), (three, 2)):
        assert point.value_error == pytest.approx((point.variance / repeats) ** 0.5)
    assert (six.value_error, six.variance) == (0.0, 0.0)  # one estimate tells nothing of its chance


def test_the_variance_is_that_of_predictions_and_not_of_the_metric() -> None:
    draws = torch.tensor([[[1.0], [-1.0]], [[3.0], [5.0]]], dtype=torch.float64)
    (point,) = curve(draws, torch.zeros(2, 1), lambda predictions, targets: 7.0, (1,))
    assert (point.value, point.value_error, point.variance) == (7.0, 0.0, pytest.approx(2.0))
