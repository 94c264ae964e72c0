"""Hotelling's one-sample T^2 test: is the mean of a vector other than zero?"""

from __future__ import annotations

from torch import Tensor, eye, finfo
from torch.linalg import solve

ROUNDING = 100.0


def t_squared(values: Tensor, size: float) -> float:
    """T^2 = q m' S^-1 m with mean m and covariance S of ``values`` ``[q, d]``, differences of vectors of that ``size``.

    Differences below rounding are none: S is widened by the square of ``ROUNDING`` units in the last place, without
    which a deterministic embedding, all of whose differences are alike, has no S^-1, and rounding would be tested.
    Widening lowers T^2, so that the level of the test is kept.
    """
    q, d = values.shape
    resolution = max(ROUNDING * finfo(values.dtype).eps * size, finfo(values.dtype).tiny ** 0.5)
    x = values.double()
    mean = x.mean(0)
    centred = x - mean
    covariance = centred.mT @ centred / (q - 1) + resolution**2 * eye(d, dtype=x.dtype, device=x.device)
    return (q * mean @ solve(covariance, mean)).item()


def critical_value(q: int, d: int, level: float) -> float:
    """What T^2 of ``q`` Gaussian vectors of ``d`` dimensions with mean zero exceeds with probability ``level``.

    (q - d) T^2 / (d (q - 1)) has the F distribution of d and q - d degrees of freedom. Raises ``ValueError`` where q is
    not larger than d.
    """
    from scipy.stats import f

    if q <= d:
        raise ValueError(f"a T^2 test of {d} dimensions needs more than {d} vectors, not {q}")
    return float(d * (q - 1) / (q - d) * f.isf(level, d, q - d))
