"""Rows in order of their sizes: each is in one part, as large as it is, and comes back to its place."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.symmetry import dynamic_shapes
from tasks.symmetry.dynamic_shapes import by_size, put_together


@given(sizes=st.lists(st.integers(0, 6), min_size=1, max_size=30), cached=st.integers(1, 200))
def test_parts_put_together_are_the_whole(sizes: list[int], cached: int) -> None:
    mask = torch.arange(6) < torch.tensor(sizes)[:, None]
    numbers = torch.arange(mask.numel() * 6.0).view(-1, 6, 6) + 1
    matrices, vectors = numbers * (mask[:, :, None] & mask[:, None]), numbers[:, 0] * mask
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dynamic_shapes, "CACHED", cached)
        parts = by_size(mask)
    found = [part.matrices(numbers * mask[:, :, None] * mask[:, None]) for part in parts]
    assert all(len(part) == 1 or part[0].numel() * len(part) <= cached for part in found)
    assert torch.equal(put_together(found, parts, matrices.shape), matrices)
    assert torch.equal(put_together([part.vectors(vectors) for part in parts], parts, mask.shape), vectors)


def test_one_part_of_one_size_is_not_copied() -> None:
    mask, values = torch.ones(4, 3, dtype=torch.bool), torch.rand(4, 3, 3)
    (part,) = by_size(mask)
    assert put_together([part.matrices(values)], [part], values.shape).data_ptr() == values.data_ptr()


def test_shapes_that_may_not_follow_the_data_are_one_part() -> None:
    (part,) = by_size(torch.ones(1000, 64, dtype=torch.bool, device="meta"))
    assert part.rows == slice(0, 1000) and part.nodes == 64
