"""Equivariant maps from matrices to orthogonal and unitary ones, and rotations of the plane by an angle."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

MOST_COLUMNS = 4  # up to this size, working column by column needs fewer operators
SHIFT = 1e-11


def gram_schmidt(matrix: Tensor, special: bool = False) -> Tensor:
    """Orthonormalises columns by Gram-Schmidt.

    The map is equivariant, ``gram_schmidt(Q m) = Q gram_schmidt(m)`` for orthogonal Q, so a Gaussian matrix gives
    Haar measure on O(d).

    Args:
        matrix: Real or complex matrices ``[..., D, D]`` with linearly independent columns.
        special: Makes the determinant 1: the first column is multiplied by the determinant if it is real
            (Kim et al. 2023) and divided by it if it is complex.

    Returns:
        ``[..., D, D]`` in O(d) or SO(d); in U(d) or SU(d) for complex matrices.
    """
    orthogonal = _by_columns(matrix) if matrix.shape[-1] <= MOST_COLUMNS else _by_factors(matrix)
    if not special:
        return orthogonal
    # A real determinant is locally constant; a complex one is a phase that moves with the matrix.
    determinant = torch.linalg.det(orthogonal if orthogonal.is_complex() else orthogonal.detach())
    phase = determinant.sgn().conj()
    return torch.cat([orthogonal[..., :1] * phase[..., None, None], orthogonal[..., 1:]], -1)


def spanning(matrix: Tensor, spare: Tensor, floor: float) -> Tensor:
    """Replaces columns that are linearly dependent on earlier ones by those of another matrix.

    The map is equivariant in both matrices. If the law of ``spare`` is invariant under rotations, an input that does
    not determine an axis gets a uniformly random one.

    Args:
        matrix: ``[..., D, D]``.
        spare: Replacement columns ``[..., D, D]``.
        floor: A column is replaced if its part orthogonal to the earlier ones is at most this share of its length.

    Returns:
        ``[..., D, D]``.
    """
    columns: list[Tensor] = []
    axes: list[Tensor] = []
    for column, other in zip(matrix.unbind(-1), spare.unbind(-1), strict=True):
        off = _off(column.detach(), axes)
        missing = off.norm(dim=-1, keepdim=True) <= floor * column.detach().norm(dim=-1, keepdim=True)
        columns.append(torch.where(missing, other, column))
        rest = torch.where(missing, _off(other, axes), off)
        axes.append(rest / rest.norm(dim=-1, keepdim=True))
    return torch.stack(columns, -1)


def _off(column: Tensor, axes: Iterable[Tensor]) -> Tensor:
    """The part of ``column`` ``[..., D]`` that is orthogonal to orthonormal ``axes``."""
    for axis in axes:
        column = column - (column * axis.conj()).sum(-1, keepdim=True) * axis
    return column


def _by_columns(matrix: Tensor) -> Tensor:
    """Gram-Schmidt one column after another: the number of operators grows with the number of pairs of columns."""
    # A second pass restores the orthogonality that nearly dependent columns lose (Giraud et al. 2005).
    return _orthonormalised(_orthonormalised(matrix))


def _by_factors(matrix: Tensor) -> Tensor:
    """The factor Q of m = QR by shifted Cholesky QR (Fukaya et al. 2020): few operators, in double precision.

    Each pass divides by the Cholesky factor of the inner products of columns. The first pass shifts these, so that
    the factor exists for nearly dependent columns; the others remove the error of the shift. Matrices in single
    precision need one such pass, those in double precision two.
    """
    q = matrix.to(torch.complex128 if matrix.is_complex() else torch.float64)
    identity = torch.eye(q.shape[-1], dtype=q.dtype, device=q.device)
    for shift in (SHIFT, 0.0) if q.dtype != matrix.dtype else (SHIFT, 0.0, 0.0):
        q = q / q.norm(dim=-2, keepdim=True)
        factor = torch.linalg.cholesky_ex(q.mH @ q + shift * identity).L  # unlike cholesky, without waiting
        q = torch.linalg.solve_triangular(factor.mH, q, upper=True, left=False)
    return q.to(matrix.dtype)


def _orthonormalised(matrix: Tensor) -> Tensor:
    """One pass of modified Gram-Schmidt."""
    columns: list[Tensor] = []
    for index in range(matrix.shape[-1]):
        column = _off(matrix[..., index], columns)
        columns.append(column / column.norm(dim=-1, keepdim=True))
    return torch.stack(columns, -1)


def plane_rotation(angle: Tensor) -> Tensor:
    """The rotations ``[..., 2, 2]`` of the plane by ``angle`` ``[...]`` in radians."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -1)
