"""Hotelling's one-sample T^2 test of a mean vector that differs from zero."""

from __future__ import annotations

from torch import Tensor, eye, finfo
from torch.linalg import solve

ROUNDING = 100.0


def t_squared(values: Tensor, size: float) -> float:
    """Returns T^2 = q m' S^-1 m with the mean m and the covariance S of ``values`` ``[q, d]``.

    The square of ``ROUNDING`` units in the last place is added to the diagonal of S, so that rounding errors do not
    count as differences: for a deterministic embedding all differences are equal and S would be singular. This lowers
    T^2, so the level of the test is kept.

    Args:
        values: Differences of pairs of vectors.
        size: The root mean square norm of these vectors.
    """
    q, d = values.shape
    resolution = max(ROUNDING * finfo(values.dtype).eps * size, finfo(values.dtype).tiny ** 0.5)
    x = values.double()
    mean = x.mean(0)
    centred = x - mean
    covariance = centred.mT @ centred / (q - 1) + resolution**2 * eye(d, dtype=x.dtype, device=x.device)
    return (q * mean @ solve(covariance, mean)).item()


def critical_value(q: int, d: int, level: float) -> float:
    """Returns the value that T^2 of ``q`` Gaussian vectors ``[d]`` with mean 0 exceeds with probability ``level``.

    (q - d) T^2 / (d (q - 1)) has the F distribution with d and q - d degrees of freedom.

    Raises:
        ValueError: ``q`` is not larger than ``d``.
    """
    from scipy.stats import f

    if q <= d:
        raise ValueError(f"a T^2 test of {d} dimensions needs more than {d} vectors, not {q}")
    return float(d * (q - 1) / (q - d) * f.isf(level, d, q - d))
