"""Which runs fit on which nodes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.placement import Shape, fits, misfit, most_at_once
from harness.spec import Resources

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


def test_the_largest_is_placed_first_and_memory_adds_up() -> None:
    small, large = Shape(gpus=0, cpus=1), Shape(gpus=0, cpus=2)
    assert fits([small, large], [large, small])
    half = Shape(gpus=0, cpus=0.5, memory=5 * 1024**3)
    assert fits([half], [LAPTOP]) and not fits([half, half], [LAPTOP])
    assert not fits([replace(half, memory=3 * 1024**3)] * 3, [LAPTOP])


def test_the_processes_of_a_run_may_be_on_several_nodes() -> None:
    three = Shape(gpus=0, cpus=1, processes=3)
    assert not fits([three], [LAPTOP]) and fits([three], [LAPTOP, LAPTOP])
    assert "3 times 1 CPU" in (misfit(three, [LAPTOP]) or "") and misfit(three, [LAPTOP, LAPTOP]) is None
    assert not fits([three, replace(three, processes=2)], [LAPTOP, LAPTOP])


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


def test_a_process_has_one_gpu_at_most() -> None:
    for gpus in (0.25, 1):
        assert misfit(Shape(gpus=gpus, cpus=1), [GPU_NODE]) is None
    for gpus in (1.5, 2):
        assert "which uses one" in (misfit(Shape(gpus=gpus, cpus=1), [GPU_NODE]) or "")


def test_one_worker_a_cpu_at_most() -> None:
    assert most_at_once([LAPTOP, GPU_NODE], None) == 34
    assert most_at_once([LAPTOP], 8) == 2
    assert most_at_once([LAPTOP], 1) == 1
    assert most_at_once([], None) == 1


@pytest.mark.parametrize("count", range(2, 31))
@pytest.mark.parametrize("part", ["cpus", "gpus", "memory"])
def test_equal_parts_fill_a_node_whatever_floats_make_of_them(part: str, count: int) -> None:
    node = Shape(gpus=1, cpus=1, memory=10 * 1024**3)
    share = replace(Shape(gpus=0, cpus=0), **{part: getattr(node, part) / count})
    assert fits([share] * count, [node]) and not fits([share] * (count + 1), [node])


def test_a_shape_is_what_a_run_is_granted() -> None:
    granted = Resources(cpus=2, gpus=0.5, memory=3 * 1024**3, workers=4)
    assert Shape.of(granted) == Shape(gpus=0.5, cpus=2, memory=3 * 1024**3, processes=4)
    assert Shape.of(Resources()) == Shape(gpus=0, cpus=1)
