"""Which runs fit on which nodes."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.placement import Shape, fits, misfit, most_at_once

LAPTOP = Shape(gpus=0, cpus=2, memory=8 * 1024**3)
GPU_NODE = Shape(gpus=4, cpus=32, memory=256 * 1024**3)


def test_fractions_add_up_and_no_more() -> None:
    fifth = Shape(gpus=0.2, cpus=0.1)
    one = Shape(gpus=1, cpus=1)
    assert fits([fifth] * 5, [one])
    assert not fits([fifth] * 6, [one])


def test_one_run_is_not_spread_over_nodes() -> None:
    assert not fits([Shape(gpus=0, cpus=3)], [LAPTOP, LAPTOP])
    assert fits([Shape(gpus=0, cpus=2), Shape(gpus=0, cpus=2)], [LAPTOP, LAPTOP])


@given(st.lists(st.builds(Shape, gpus=st.integers(0, 2), cpus=st.integers(1, 4)), max_size=6))
def test_what_is_said_to_fit_can_be_placed(shapes: list[Shape]) -> None:
    nodes = [Shape(gpus=2, cpus=8), Shape(gpus=0, cpus=4)]
    placements = product(range(len(nodes)), repeat=len(shapes))
    possible = any(all(holds(node, shapes, index, placed) for index, node in enumerate(nodes)) for placed in placements)
    assert possible or not fits(shapes, nodes)


def holds(node: Shape, shapes: list[Shape], index: int, placed: tuple[int, ...]) -> bool:
    here = [shape for shape, place in zip(shapes, placed, strict=True) if place == index]
    return sum(shape.gpus for shape in here) <= node.gpus and sum(shape.cpus for shape in here) <= node.cpus


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (Shape(gpus=1, cpus=1), "1 CPU, 1 GPU; the largest has 2 CPUs, 0 GPUs and 8 GiB of memory"),
        (Shape(gpus=0, cpus=3), "3 CPUs, 0 GPUs"),
        (Shape(gpus=0, cpus=1, memory=9 * 1024**3), "9 GiB of memory"),
    ],
)
def test_what_no_node_has_is_said(shape: Shape, said: str) -> None:
    assert said in (misfit(shape, [LAPTOP]) or "")
    assert misfit(shape, [LAPTOP, GPU_NODE]) is None


def test_gpus_beyond_one_are_whole() -> None:
    assert misfit(Shape(gpus=0.25, cpus=1), [GPU_NODE]) is None
    assert misfit(Shape(gpus=2, cpus=1), [GPU_NODE]) is None
    assert "whole number" in (misfit(Shape(gpus=1.5, cpus=1), [GPU_NODE]) or "")


def test_one_worker_a_cpu_at_most() -> None:
    assert most_at_once([LAPTOP, GPU_NODE], None) == 34
    assert most_at_once([LAPTOP], 8) == 2
    assert most_at_once([LAPTOP], 1) == 1
    assert most_at_once([], None) == 1
