"""Orthogonal and unitary matrices: from any matrix, equivariantly, and from an angle."""

from __future__ import annotations

import torch
from torch import Tensor


def gram_schmidt(matrix: Tensor, special: bool = False) -> Tensor:
    """Orthonormal columns ``[..., D, D]`` from linearly independent ones, by Gram-Schmidt.

    ``gram_schmidt(Q m) = Q gram_schmidt(m)`` for orthogonal Q, and a Gaussian matrix gives Haar measure on O(d).
    With ``special`` the first column is multiplied by the determinant, which gives SO(d) (Kim et al. 2023).
    A complex matrix gives a unitary one: U(d), or SU(d) where the first column is divided by the determinant.
    """
    # A second pass restores the orthogonality that nearly dependent columns lose (Giraud et al. 2005).
    orthogonal = _orthonormalised(_orthonormalised(matrix))
    if not special:
        return orthogonal
    # A real determinant is locally constant; a complex one is a phase that moves with the matrix.
    determinant = torch.linalg.det(orthogonal if orthogonal.is_complex() else orthogonal.detach())
    phase = determinant.sgn().conj()
    return torch.cat([orthogonal[..., :1] * phase[..., None, None], orthogonal[..., 1:]], -1)


def _orthonormalised(matrix: Tensor) -> Tensor:
    """One pass of modified Gram-Schmidt."""
    columns: list[Tensor] = []
    for index in range(matrix.shape[-1]):
        column = matrix[..., index]
        for done in columns:
            column = column - (column * done.conj()).sum(-1, keepdim=True) * done
        columns.append(column / column.norm(dim=-1, keepdim=True))
    return torch.stack(columns, -1)


def plane_rotation(angle: Tensor) -> Tensor:
    """``[..., 2, 2]``: the rotation of the plane by each angle, in radians."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -1)
