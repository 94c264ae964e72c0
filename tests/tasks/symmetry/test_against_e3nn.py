"""Random rotations, their products and inverses against e3nn's irreducible representations."""

from __future__ import annotations

import pytest
import torch
from e3nn import o3
from torch import Tensor

from tasks.symmetry.groups import group
from tests.structures import random_particles

DRAWS = 20_000
STANDARD_ERRORS = 5.0
SINGLE_PRECISION = 1e-5  # e3nn's D matrices hold no more: its own D(R R) and D(R) D(R) differ by 2e-6 in float64


def matrices(name: str, draws: int, seed: int = 0) -> Tensor:
    """``[draws, 3, 3]`` elements of the law that group averaging takes, in double precision."""
    element = group((name,)).random(random_particles(1, 4), draws, torch.Generator().manual_seed(seed))
    return element.matrix[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("irrep", ["1o", "2e"])
@pytest.mark.parametrize("name", ["SO(3)", "O(3)"])
def test_matrix_elements_are_orthogonal_as_schur_says(name: str, irrep: str) -> None:
    """E[D_ij D_kl] = (i = k)(j = l) / (2 l + 1) over Haar measure, which has no other such law."""
    d = o3.Irrep(irrep).D_from_matrix(matrices(name, DRAWS)).flatten(1)
    products = d[:, :, None] * d[:, None, :]
    size = d.shape[1] ** 0.5
    error = products.mean(0) - torch.eye(d.shape[1], dtype=d.dtype) / size
    assert (error.abs() < STANDARD_ERRORS * products.std(0) / DRAWS**0.5 + 1e-9).all()
    assert (d.mean(0).abs() < STANDARD_ERRORS * d.std(0) / DRAWS**0.5 + 1e-9).all()


def test_a_pseudovector_tells_reflections_from_rotations() -> None:
    """O(3) draws as many reflections as rotations: under Haar measure 1o and 1e are orthogonal, on SO(3) they agree."""
    for name, expected in (("O(3)", 0.0), ("SO(3)", 1 / 3)):
        r = matrices(name, DRAWS)
        products = (o3.Irrep("1o").D_from_matrix(r) * o3.Irrep("1e").D_from_matrix(r)).flatten(1)
        assert (products.mean(0) - expected).abs().max() < STANDARD_ERRORS * products.std(0).max() / DRAWS**0.5


def test_composition_and_inverse_are_those_of_the_representation() -> None:
    irreps = o3.Irreps("1o + 2e + 3o")
    x = random_particles(2, 4)
    g, h = (group(("O(3)",)).random(x, 3, torch.Generator().manual_seed(seed)) for seed in (2, 3))

    def d(element: object) -> Tensor:
        return irreps.D_from_matrix(element.matrix)  # type: ignore[attr-defined]

    torch.testing.assert_close(d(g.compose(h)), d(g) @ d(h), rtol=0, atol=SINGLE_PRECISION)
    torch.testing.assert_close(d(g.inverse()), d(g).mT, rtol=0, atol=SINGLE_PRECISION)
