"""Permuting takes little memory beside its values, and its backward pass neither adds up nor sorts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tasks.symmetry import straight_through
from tasks.symmetry.element import Permutation
from tasks.symmetry.representation import Representation

BOTH = [Representation.NODE_SCALARS, Representation.EDGE_SCALARS]
ADDS_UP = ("scatter_add", "scatter_reduce", "index_add", "index_put")


class Seen(TorchDispatchMode):
    """The names of all operators, and the bytes of the largest tensor of indices."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.index = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.names.add(func.name())
        for made in tree_leaves(out):
            if isinstance(made, Tensor) and made.dtype is torch.int64:
                self.index = max(self.index, made.untyped_storage().nbytes())
        return out


def permutations(structures: int, samples: int, nodes: int, soft: bool = False, device: str = "cpu") -> Permutation:
    images = torch.rand(structures, samples, nodes, device=device).argsort(-1)
    relaxation = torch.rand(structures, samples, nodes, nodes, dtype=torch.float64, device=device) if soft else None
    return Permutation.from_images(images, relaxation.requires_grad_() if relaxation is not None else None)


def drawn(representation: Representation, structures: int, samples: int, nodes: int, device: str = "cpu") -> Tensor:
    axes = (nodes, nodes) if representation is Representation.EDGE_SCALARS else (nodes,)
    return torch.rand(structures, samples, *axes, 3, dtype=torch.float64, device=device, requires_grad=True)


@pytest.mark.parametrize("representation", BOTH)
@pytest.mark.parametrize("shared", [False, True])
def test_the_gradient_of_a_hard_permutation_is_that_of_torch_and_adds_nothing_up(
    representation: Representation, shared: bool
) -> None:
    element, values = permutations(2, 3, 5), drawn(representation, 2, 1 if shared else 3, 5)
    weights = torch.rand(2, 3, *values.shape[2:], dtype=torch.float64)
    with Seen() as seen:
        out = element.act(values, representation)
        (found,) = torch.autograd.grad((out * weights).sum(), values)
    assert not any(name in operator for operator in seen.names for name in ADDS_UP)
    places = element.preimages[..., None].expand(-1, -1, -1, 3)
    if representation is Representation.EDGE_SCALARS:
        rows = values.expand(2, 3, -1, -1, -1).gather(2, places[:, :, :, None].expand(-1, -1, -1, 5, -1))
        expected_out = rows.gather(3, places[:, :, None].expand(-1, -1, 5, -1, -1))
    else:
        expected_out = values.expand(2, 3, -1, -1).gather(2, places)
    (expected,) = torch.autograd.grad((expected_out * weights).sum(), values)
    assert torch.equal(out, expected_out)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("representation", BOTH)
@pytest.mark.parametrize("inverse", [False, True])
def test_parts_of_a_batch_give_the_numbers_of_the_whole(
    representation: Representation, inverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    element, values = permutations(5, 2, 4, soft=True), drawn(representation, 5, 1, 4)
    assert element.relaxation is not None
    weights = torch.rand(5, 2, *values.shape[2:], dtype=torch.float64)
    found = []
    for pairs in (straight_through.PAIRS_AT_ONCE, 2 * 2 * 4**2):
        monkeypatch.setattr(straight_through, "PAIRS_AT_ONCE", pairs)
        out = (element.inverse() if inverse else element).act(values, representation)
        found.append((out, *torch.autograd.grad((out * weights).sum(), (values, element.relaxation))))
    for parts, whole in zip(found[1], found[0], strict=True):
        assert torch.equal(parts, whole)


@pytest.mark.parametrize("soft", [False, True])
def test_the_index_of_large_images_stays_small(soft: bool) -> None:
    """A batch of Peptides at ten samples, whose pairs of nodes would take 2 GiB to index at once."""
    element = permutations(128, 10, 444, soft, device="meta")
    values = drawn(Representation.EDGE_SCALARS, 128, 1, 444, device="meta")
    with Seen() as seen:
        element.inverse().act(values, Representation.EDGE_SCALARS).sum().backward()
    assert seen.index <= 1.2 * 8 * straight_through.PAIRS_AT_ONCE
