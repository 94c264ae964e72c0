"""Inputs that leave an axis open: q alone spans too few, and chance draws the others without moving what is settled."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness.registry import resolve
from harness.spec import Resources
from harness.training.context import RunContext
from harness.training.execute import execute
from tasks.symmetry.element import LinearMap
from tasks.symmetry.groups import group
from tasks.symmetry.orthogonalization import gram_schmidt, spanning
from tasks.symmetry.structure import Structure
from tests.properties.test_samplers_on_groups import symmetrized

FLOOR = 1e-3
DIMENSIONS = st.sampled_from((2, 3, 5, 8))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seed=st.integers(0, 2**31), dimension=DIMENSIONS, rank=st.integers(0, 8))
def test_axes_turn_with_the_matrix_and_what_is_spare(seed: int, dimension: int, rank: int) -> None:
    rank = min(rank, dimension)
    matrix = normal(seed, 8, dimension, rank) @ normal(seed + 1, 8, rank, dimension)
    spare, turn = normal(seed + 2, 8, dimension, dimension), gram_schmidt(normal(seed + 3, dimension, dimension))
    found = spanning(matrix, spare, FLOOR)
    torch.testing.assert_close(spanning(turn @ matrix, turn @ spare, FLOOR), turn @ found, atol=1e-10, rtol=1e-10)
    assert (torch.linalg.matrix_rank(found) == dimension).all()
    kept = (found == matrix).all(-2)
    assert (kept | (found == spare).all(-2)).all()
    assert (kept.sum(-1) <= rank).all()


@given(seed=st.integers(0, 2**31), dimension=DIMENSIONS)
def test_axes_that_span_the_space_stay_as_they_are(seed: int, dimension: int) -> None:
    matrix = gram_schmidt(normal(seed, 8, dimension, dimension)) * 1e-9
    assert torch.equal(spanning(matrix, normal(seed + 1, 8, dimension, dimension), FLOOR), matrix)


@pytest.mark.parametrize("dimension", [2, 3])
def test_an_input_that_leaves_all_axes_open_gets_haar_measure(dimension: int) -> None:
    """Over O(d) the mean of tr(g)^2 is 1 and that of tr(g) 0."""
    draws = 40_000
    nothing = torch.zeros(draws, dimension, dimension, dtype=torch.float64)
    traces = gram_schmidt(spanning(nothing, normal(0, *nothing.shape), FLOOR)).diagonal(dim1=-2, dim2=-1).sum(-1)
    assert abs(traces.mean()) < 5 / draws**0.5
    assert traces.square().mean() == pytest.approx(1.0, abs=5 * (traces.square().std() / draws**0.5).item())


def points_on_a_line(count: int) -> Structure:
    """Lines through the origin of the plane: a reflection leaves each as it is. So large that rounding of what q makes
    of them exceeds the noise that keeps its columns apart."""
    angles = normal(1, count, 1)
    directions = torch.stack([angles.cos(), angles.sin()], -1)
    points = 100 * normal(2, count, 5, 1) * directions
    return Structure.build(torch.ones(count, 5, dtype=torch.bool), points=points[..., None]).to("cpu", torch.float32)


def test_of_a_line_the_first_axis_is_settled_and_the_sign_of_the_second_is_chance() -> None:
    x = points_on_a_line(2000)
    model = symmetrized("canonical", group(("O(2)",)), x, axis_floor=FLOOR).float()
    noises = [model.sampler.noise(x, 1, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    elements = [model.sampler(x, noise).element for noise in noises]
    assert all(isinstance(element, LinearMap) for element in elements)
    first, second = (element.matrix for element in elements)  # type: ignore[attr-defined]
    torch.testing.assert_close(first.mT @ first, torch.eye(2).expand_as(first), atol=1e-5, rtol=0)
    columns = model.sampler.network(x, noises[0], 0.0).matrix[..., 0]  # type: ignore[operator,union-attr]
    settled = columns.norm(dim=-1) > 1e-3
    assert settled.float().mean() > 0.95
    torch.testing.assert_close(first[settled][:, :, 0], second[settled][:, :, 0], atol=1e-2, rtol=0)
    agree = ((first[..., 1] * second[..., 1]).sum(-1) > 0).float().mean()
    assert abs(agree - 0.5) < 4 * 0.5 / 2000**0.5
    first.sum().backward()
    gradients = [weight.grad for weight in model.sampler.parameters() if weight.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


def test_canonicalization_is_trained_on_stabilised_inputs_in_single_precision() -> None:
    spec = resolve(
        "teacher_space_equivariant",
        "mlp-canonical",
        "standard",
        0,
        task_params={"group": ["O(#)"], "degree": 2, "validation": 50, "test": 50},
        settings={"max_steps": 160, "batch_size": 32, "warmup_epochs": 0, "curve_samples": [1, 2], "curve_size": 10},
    )
    outcome = execute(spec, RunContext.of(spec, Resources(cpus=1)))
    assert 0.5 < outcome.metrics["mse"] < 2.0


def test_what_was_drawn_for_one_axis_counts_for_the_next() -> None:
    """A column in the plane of the first axis and of what was drawn for the second leaves the third open."""
    first, drawn, other = torch.randn(3, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    matrix = torch.stack([first, 2 * first, first - 3 * drawn], -1)
    found = spanning(matrix, torch.stack([other, drawn, other], -1), 1e-6)
    torch.testing.assert_close(found, torch.stack([first, drawn, other], -1), atol=0, rtol=0)
