"""Gram-Schmidt by columns and by factors, against the QR decomposition with a positive diagonal."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tasks.symmetry import orthogonalization
from tasks.symmetry.orthogonalization import gram_schmidt

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
DIMENSIONS = (2, 3, 4, 5, 8, 32)


def matrices(dimension: int, dtype: torch.dtype, independence: float = 1.0, seed: int = 0) -> Tensor:
    """Of which all columns but two are in the span of these, but for so much of them."""
    noise = torch.Generator().manual_seed(seed)
    matrix = torch.randn(20, dimension, dimension, dtype=dtype, generator=noise)
    plane = matrix[..., :2] @ torch.randn(20, 2, dimension, dtype=dtype, generator=noise)
    return torch.cat([matrix[..., :2], (independence * matrix + (1 - independence) * plane)[..., 2:]], -1)


def decomposed(matrix: Tensor) -> Tensor:
    """Q of QR in double precision, where R has a positive diagonal."""
    q, r = torch.linalg.qr(matrix.to(torch.complex128 if matrix.is_complex() else torch.float64))
    return q * r.diagonal(dim1=-2, dim2=-1).sgn()[..., None, :]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_columns_are_those_of_the_decomposition(dimension: int, dtype: torch.dtype) -> None:
    matrix = matrices(dimension, dtype)
    rounding = 300 * torch.finfo(dtype).eps
    torch.testing.assert_close(gram_schmidt(matrix), decomposed(matrix).to(dtype), atol=rounding, rtol=0)


@pytest.mark.parametrize("dimension", [5, 8, 32])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("independence", [1e-3, 1e-6, 1e-9])
def test_nearly_dependent_columns_are_told_apart_by_factors(
    dimension: int, dtype: torch.dtype, independence: float
) -> None:
    """As well as their numbers say it: by columns, single precision does not."""
    matrix = matrices(dimension, dtype, independence)
    found = gram_schmidt(matrix)
    rounding = torch.finfo(dtype).eps
    assert (found.mH @ found - torch.eye(dimension, dtype=dtype)).abs().max() < 30 * rounding
    known = 1e-5 if dtype in (torch.float32, torch.complex64) else 1e3 * rounding / independence
    torch.testing.assert_close(found, decomposed(matrix).to(dtype), atol=known, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("dimension", [5, 32])
def test_dependent_columns_give_an_orthogonal_matrix_that_begins_as_they_do(dimension: int, dtype: torch.dtype) -> None:
    """Rounding decides what they leave open, as it does by columns."""
    matrix = matrices(dimension, dtype, 0.0)
    found = gram_schmidt(matrix)
    torch.testing.assert_close(found.mH @ found, torch.eye(dimension, dtype=dtype).expand_as(found), atol=1e-13, rtol=0)
    torch.testing.assert_close(found[..., :2], decomposed(matrix)[..., :2], atol=1e-13, rtol=0)


@pytest.mark.parametrize("dimension", [5, 32])
def test_gradients_are_those_by_columns(dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, weights = matrices(dimension, torch.float64).requires_grad_(), matrices(dimension, torch.float64, seed=1)
    gradients = []
    for most in (dimension, orthogonalization.MOST_COLUMNS):
        monkeypatch.setattr(orthogonalization, "MOST_COLUMNS", most)
        (gradient,) = torch.autograd.grad((gram_schmidt(matrix, special=True) * weights).sum(), matrix)
        gradients.append(gradient / gradient.abs().max())
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-11, rtol=0)


class Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_the_number_of_operators_does_not_grow_with_the_dimension() -> None:
    counts = {}
    for dimension in (5, 32):
        matrix = matrices(dimension, torch.float32)
        with Count() as count:
            gram_schmidt(matrix)
        counts[dimension] = count.names.total()
    assert counts[5] == counts[32] < 40
