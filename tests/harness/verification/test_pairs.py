"""Pairs of inputs and group elements."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.module_inputs import inputs_like
from harness.verification.pairs import Function, Pairs
from tasks.symmetry.element import Affine

X = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def translations(x: Tensor) -> Tensor:
    form, structure = inputs_like({"positions": x})
    pairs = Pairs.draw(Function(torch.clone, form, "positions"), "E(3)", structure, seed=0)
    assert isinstance(pairs.g, Affine)
    return pairs.g.translation


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_translations_are_as_large_as_the_inputs_wherever_these_are(scale: float) -> None:
    found = translations(scale * X)
    assert torch.allclose(found, scale * translations(X), rtol=1e-12, atol=0)
    assert torch.allclose(translations(scale * (X + 100)), found, rtol=1e-9)
    assert 0.3 * scale < found.norm(dim=-1).mean() < 10 * scale


def test_single_points_are_moved_too() -> None:
    assert (translations(X[:, :1]).norm(dim=-1) > 0.1).all()
    assert (translations(torch.zeros_like(X)).norm(dim=-1) > 0.1).all()


def test_absent_nodes_stay_zero() -> None:
    """Translations move what the group element acts on, but no padding."""
    mask = torch.arange(4) < torch.tensor([4, 1, 2, 3, 4, 2])[:, None]
    form, structure = inputs_like({"positions": X, "mask": mask})
    pairs = Pairs.draw(Function(lambda x, mask: x + 1, form, "positions"), "S_n x E(3)", structure, seed=0)
    for values in (pairs.here(), pairs.there()):
        absent = values.view(6, 4, 3)[~mask]
        assert len(absent) == 8 and not absent.any()
