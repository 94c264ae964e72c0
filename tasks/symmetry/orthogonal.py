"""From any matrix to an orthogonal one, equivariantly."""

from __future__ import annotations

import torch
from torch import Tensor


def gram_schmidt(matrix: Tensor, special: bool = False) -> Tensor:
    """Orthonormal columns ``[..., D, D]`` from linearly independent ones, by Gram-Schmidt.

    ``gram_schmidt(Q m) = Q gram_schmidt(m)`` for orthogonal Q, and a Gaussian matrix gives Haar measure on O(d).
    With ``special`` the first column is multiplied by the determinant, which gives SO(d) (Kim et al. 2023).
    """
    # A second pass restores the orthogonality that nearly dependent columns lose (Giraud et al. 2005).
    orthogonal = _orthonormalised(_orthonormalised(matrix))
    if not special:
        return orthogonal
    sign = torch.linalg.det(orthogonal.detach()).sign()
    return torch.cat([orthogonal[..., :1] * sign[..., None, None], orthogonal[..., 1:]], -1)


def _orthonormalised(matrix: Tensor) -> Tensor:
    """One pass of modified Gram-Schmidt."""
    columns: list[Tensor] = []
    for index in range(matrix.shape[-1]):
        column = matrix[..., index]
        for done in columns:
            column = column - (column * done).sum(-1, keepdim=True) * done
        columns.append(column / column.norm(dim=-1, keepdim=True))
    return torch.stack(columns, -1)
