"""Eigenvectors of small symmetric matrices, computed without waiting for the device."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from tasks.symmetry.deterministic import on_cpu

MOST_AXES = 4
SWEEPS = 6  # each squares the off-diagonal entries; in double precision five reduce them to rounding errors


def eigenbasis(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigendecomposition of symmetric matrices.

    Uses LAPACK on the CPU. On an accelerator ``torch.linalg.eigh`` makes the host wait, since it reports convergence;
    there matrices of up to 4 x 4 are diagonalised by a fixed number of Jacobi sweeps.

    Args:
        matrix: Symmetric matrices ``[B, D, D]``.

    Returns:
        Eigenvalues ``[B, D]`` in ascending order and eigenvectors ``[B, D, D]`` as columns.
    """
    if on_cpu(matrix) or matrix.shape[-1] > MOST_AXES:
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors
    return jacobi(matrix)


def jacobi(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors by a fixed number of cyclic Jacobi sweeps (Golub and Van Loan 2013, section 8.5).

    Takes and returns the same tensors as :func:`eigenbasis`.
    """
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
    """The projection ``[D, D]`` on the plane of two axes, and the generator ``[D, D]`` of its rotations."""
    across = torch.outer(first, second)
    return torch.outer(first, first) + torch.outer(second, second), across - across.mT


def _rotation(first: Tensor, second: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``[B, 1, 1]`` of the rotation that zeroes the off-diagonal entry ``across`` of two axes."""
    ratio = (second - first) / (2 * across)
    side = torch.where(ratio < 0, -1.0, 1.0).to(ratio.dtype)
    tangent = torch.where(across == 0, 0.0, side / (ratio.abs() + (1 + ratio.square()).sqrt()))[..., None, None]
    cosine = (1 + tangent.square()).rsqrt()
    return cosine, tangent * cosine
