"""Eigenvectors of small symmetric matrices, without waiting for the device."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from tasks.symmetry.deterministic import on_cpu

MOST_AXES = 4
SWEEPS = 6  # each squares what is off the diagonal; in double precision the fifth leaves rounding


def eigenbasis(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues ``[B, D]`` of symmetric matrices ``[B, D, D]`` in ascending order, and eigenvectors as columns.

    LAPACK's on the CPU. An accelerator's decomposition is waited for, since it says whether it converged: there small
    matrices are turned by Jacobi's method as often as is enough for any.
    """
    if on_cpu(matrix) or matrix.shape[-1] > MOST_AXES:
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors
    return jacobi(matrix)


def jacobi(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The same by a fixed number of sweeps of Jacobi's rotations (Golub and Van Loan 2013, section 8.5)."""
    axes = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    planes = [(p, q, *_plane(axes[p], axes[q])) for p, q in itertools.combinations(range(matrix.shape[-1]), 2)]
    vectors = axes.expand_as(matrix)
    for _ in range(SWEEPS):
        for p, q, plane, turn in planes:
            cosine, sine = _rotation(matrix[..., p, p], matrix[..., q, q], matrix[..., p, q])
            rotation = axes + (cosine - 1) * plane + sine * turn
            matrix = rotation.mT @ matrix @ rotation
            vectors = vectors @ rotation
    values, order = matrix.diagonal(dim1=-2, dim2=-1).sort(dim=-1, stable=True)
    return values, vectors.gather(-1, order[..., None, :].expand_as(vectors))


def _plane(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The projection on the plane of two axes, and what turns it by a right angle."""
    across = torch.outer(first, second)
    return torch.outer(first, first) + torch.outer(second, second), across - across.mT


def _rotation(first: Tensor, second: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``[B, 1, 1]`` of the rotation that makes the entry ``across`` of two axes zero."""
    ratio = (second - first) / (2 * across)
    side = torch.where(ratio < 0, -1.0, 1.0).to(ratio.dtype)
    tangent = torch.where(across == 0, 0.0, side / (ratio.abs() + (1 + ratio.square()).sqrt()))[..., None, None]
    cosine = (1 + tangent.square()).rsqrt()
    return cosine, tangent * cosine
