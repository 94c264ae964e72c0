"""Orthogonal and unitary matrices: from any matrix, equivariantly, and from an angle."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

MOST_COLUMNS = 4  # of matrices that take fewer operators column by column
SHIFT = 1e-11


def gram_schmidt(matrix: Tensor, special: bool = False) -> Tensor:
    """Orthonormal columns ``[..., D, D]`` from linearly independent ones, by Gram-Schmidt.

    ``gram_schmidt(Q m) = Q gram_schmidt(m)`` for orthogonal Q, and a Gaussian matrix gives Haar measure on O(d).
    With ``special`` the first column is multiplied by the determinant, which gives SO(d) (Kim et al. 2023).
    A complex matrix gives a unitary one: U(d), or SU(d) where the first column is divided by the determinant.
    """
    orthogonal = _by_columns(matrix) if matrix.shape[-1] <= MOST_COLUMNS else _by_factors(matrix)
    if not special:
        return orthogonal
    # A real determinant is locally constant; a complex one is a phase that moves with the matrix.
    determinant = torch.linalg.det(orthogonal if orthogonal.is_complex() else orthogonal.detach())
    phase = determinant.sgn().conj()
    return torch.cat([orthogonal[..., :1] * phase[..., None, None], orthogonal[..., 1:]], -1)


def spanning(matrix: Tensor, spare: Tensor, floor: float) -> Tensor:
    """``matrix`` ``[..., D, D]`` with the columns of ``spare`` in place of those that earlier ones span.

    A column is one of these where no more than ``floor`` of its length is off the earlier ones, or it is zero. Turned
    with both, and invariant in law where that of ``spare`` is: an input that leaves an axis open gets any.
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
    """What of ``column`` ``[..., D]`` is orthogonal to orthonormal ``axes``."""
    for axis in axes:
        column = column - (column * axis.conj()).sum(-1, keepdim=True) * axis
    return column


def _by_columns(matrix: Tensor) -> Tensor:
    """One column after another, in as many operators as there are pairs of them."""
    # A second pass restores the orthogonality that nearly dependent columns lose (Giraud et al. 2005).
    return _orthonormalised(_orthonormalised(matrix))


def _by_factors(matrix: Tensor) -> Tensor:
    """The same from the triangular factors R of m = QR (Fukaya et al. 2020), in a few operators and double precision.

    Each pass divides by the Cholesky factor of the inner products of columns. The first adds a little to these, so
    that there is a factor where columns are nearly dependent; what that leaves to do is what the others are for, of
    which a matrix that came in single precision needs one.
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
    """``[..., 2, 2]``: the rotation of the plane by each angle, in radians."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -1)
