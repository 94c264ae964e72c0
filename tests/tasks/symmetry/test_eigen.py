"""Eigenvectors by a fixed number of rotations, against LAPACK's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.symmetry import eigen
from tasks.symmetry.eigen import eigenbasis, jacobi

KINDS = ("general", "a plane", "a line", "nearly a plane", "nearly alike", "alike", "rotated", "diagonal", "nothing")


def symmetric(kind: str, dimension: int, seed: int, scale: float) -> Tensor:
    """Scatter matrices of 6 points, which have what one of ``kind`` has."""
    noise = torch.Generator().manual_seed(seed)
    points = torch.randn(20, 6, dimension, generator=noise, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(20, dimension, dimension, generator=noise, dtype=torch.float64)).Q
    spread = torch.linspace(1, 2, dimension, dtype=torch.float64)
    matrices = {
        "general": lambda: points.mT @ points,
        "a plane": lambda: (points[:, :1].mT @ points[:, :1]) + (points[:, 1:2].mT @ points[:, 1:2]),
        "a line": lambda: points[:, :1].mT @ points[:, :1],
        "nearly a plane": lambda: turn * spread.index_fill(0, torch.tensor([0]), 1e-12) @ turn.mT,
        "nearly alike": lambda: turn * (1 + 1e-9 * spread) @ turn.mT,
        "alike": lambda: torch.eye(dimension, dtype=torch.float64).expand(20, -1, -1),
        "rotated": lambda: turn * spread @ turn.mT,
        "diagonal": lambda: torch.diag_embed(points[:, 0].square()),
        "nothing": lambda: torch.zeros(20, dimension, dimension, dtype=torch.float64),
    }
    matrix = matrices[kind]() * scale
    return (matrix + matrix.mT) / 2


@pytest.mark.parametrize("kind", KINDS)
@given(
    dimension=st.integers(2, eigen.MOST_AXES),
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1.0, 1e-12, 1e9]),
)
def test_rotations_find_what_lapack_finds(kind: str, dimension: int, seed: int, scale: float) -> None:
    matrix = symmetric(kind, dimension, seed, scale)
    values, vectors = jacobi(matrix)
    size = matrix.abs().amax((1, 2), keepdim=True) + (kind == "nothing")
    identity = torch.eye(dimension, dtype=torch.float64)
    assert (vectors.mT @ vectors - identity).abs().max() < 1e-13
    assert ((matrix @ vectors - vectors * values[:, None]) / size).abs().max() < 1e-13
    expected, axes = torch.linalg.eigh(matrix)
    assert ((values - expected) / size[..., 0]).abs().max() < 1e-13
    gaps = expected.diff(dim=-1).amin(-1) / size[:, 0, 0]
    off = ((vectors * axes).sum(1).abs() - 1).abs().amax(-1)
    assert (off[gaps > 1e-2] < 1e-12).all()  # up to signs, where no eigenspace has several dimensions


def test_elsewhere_than_on_a_cpu_small_matrices_are_rotated(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, large = symmetric("general", 3, 0, 1.0), symmetric("general", eigen.MOST_AXES + 1, 0, 1.0)
    assert torch.equal(eigenbasis(matrix)[1], torch.linalg.eigh(matrix).eigenvectors)
    monkeypatch.setattr(eigen, "on_cpu", lambda values: False)
    assert torch.equal(eigenbasis(matrix)[1], jacobi(matrix)[1])
    assert torch.equal(eigenbasis(large)[1], torch.linalg.eigh(large).eigenvectors)


def test_single_precision_is_enough() -> None:
    matrix = symmetric("general", 3, 1, 1.0).float()
    values, vectors = jacobi(matrix)
    assert values.dtype == vectors.dtype == torch.float32
    torch.testing.assert_close(vectors * values[:, None] @ vectors.mT, matrix, atol=1e-5, rtol=1e-5)
