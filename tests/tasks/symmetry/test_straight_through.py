"""Soft permutations and straight-through gradients against a plain reference with dense matrices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.symmetry.groups import SymmetricGroup
from tasks.symmetry.representation import Representation
from tasks.symmetry.sinkhorn import AlongLine, Dense, soft_identity
from tasks.symmetry.sorting import permutation_entropy, sort_descending
from tasks.symmetry.structure import Structure

WAYS = pytest.mark.parametrize("way", [Dense, AlongLine])
Way = type[Dense] | type[AlongLine]


def reference_soft_permutation(scores: Tensor, mask: Tensor, temperature: float, steps: int) -> Tensor:
    """P_soft ``[M, N, N]`` (rows: nodes, columns: places) by log-space Sinkhorn on SoftSort's logits.

    Rows are normalised first, each node over the places, then columns (as published; ``tests/golden/graph_q.npz``).
    """
    in_order = scores.gather(-1, sort_descending(scores, mask))
    logits = -(scores[:, :, None] - in_order[:, None, :]).abs() / temperature
    pairs = mask[:, :, None] & mask[:, None, :]
    logits = logits.masked_fill(~pairs, -1e30)
    for _ in range(steps):
        for axis in (-1, -2):
            logits = (logits - logits.logsumexp(axis, keepdim=True)).masked_fill(~pairs, -1e30)
    return logits.exp() * pairs


def reference_entropy(soft: Tensor, mask: Tensor) -> Tensor:
    means = []
    for matrix, keep in zip(soft, mask, strict=True):
        block = matrix[keep][:, keep].clamp_min(1e-12)
        rows, columns = block / block.sum(1, keepdim=True), block / block.sum(0, keepdim=True)
        means.append((-(rows * rows.log()).sum(1) - (columns * columns.log()).sum(0)).mean())
    return torch.stack(means).mean()


def scores_and_mask(seed: int, rows: int = 4, nodes: int = 7) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, nodes, generator=noise, dtype=torch.float64) * 0.3
    mask = torch.arange(nodes) < torch.randint(1, nodes + 1, (rows, 1), generator=noise)
    return (scores * mask).requires_grad_(), mask


def straight_through(scores: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """P ``[M, N, N]`` (rows: nodes, columns: places), the matrix of g: P_hard - stop_gradient(P_soft) + P_soft."""
    soft = reference_soft_permutation(scores, mask, temperature, 20)
    hard = torch.nn.functional.one_hot(sort_descending(scores, mask), scores.shape[-1]).double().mT
    return hard - soft.detach() + soft


@WAYS
@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.01, 0.1, 1.0]))
def test_values_and_gradients_of_the_soft_permutation(way: Way, seed: int, temperature: float) -> None:
    scores, mask = scores_and_mask(seed)
    weights = torch.randn(4, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))
    order = sort_descending(scores, mask)
    soft, *_ = way.apply(scores.gather(-1, order), mask, temperature, 20)
    in_node_order = torch.zeros_like(soft).scatter(-2, order[:, :, None].expand_as(soft), soft)
    expected = reference_soft_permutation(scores, mask, temperature, 20)
    torch.testing.assert_close(in_node_order, expected, atol=1e-8, rtol=0)
    (gradient,) = torch.autograd.grad((in_node_order * weights).sum(), scores)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), scores)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=1e-6)


@WAYS
def test_the_soft_identity_has_true_gradients(way: Way) -> None:
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    scores = torch.tensor([[0.9, 0.4, 0.1, -0.3, -0.8], [0.7, 0.0, -0.4, 0.0, 0.0]], dtype=torch.float64)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: way.apply(s, mask, 0.5, 5)[0], (scores,))


@WAYS
@given(seed=st.integers(0, 10_000))
def test_soft_identities_are_doubly_stochastic_on_the_nodes_that_exist(way: Way, seed: int) -> None:
    scores, mask = scores_and_mask(seed)
    soft, *_ = way.apply(scores.gather(-1, sort_descending(scores, mask)), mask, 0.5, 200)
    torch.testing.assert_close(soft.sum(-1), mask.double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(soft.sum(-2), mask.double(), atol=1e-6, rtol=0)
    assert not soft[~(mask[:, :, None] & mask[:, None])].any()


def test_single_precision_survives_far_and_equal_scores() -> None:
    scores = torch.tensor([[1.0, 1.0, 0.0, -1.0]])
    soft = soft_identity(scores, torch.ones(1, 4, dtype=torch.bool), 0.001, 20, 4.0)
    expected = torch.eye(4)
    expected[:2, :2] = 0.5
    torch.testing.assert_close(soft[0], expected)


@pytest.mark.parametrize("temperature", [1.0, 0.01, 1e-4])
def test_only_differences_of_scores_count_however_large_they_are(temperature: float) -> None:
    """Distances of many temperatures are no infinity, nor are scores that are all far from zero."""
    scores = torch.tensor([[0.9, 0.5, 0.49999, 0.1, -0.5]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True, True, False]])
    found = [soft_identity(scores + shift, mask, temperature, 20, 2**0.5) for shift in (0.0, 64.0, -64.0)]
    assert found[0].isfinite().all()
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-9, rtol=0)
    x = Structure.build(mask, node_scalars=torch.zeros(1, 5, 1, dtype=torch.float64))
    unit = torch.nn.functional.normalize(scores * mask, dim=-1)[:, None].requires_grad_()
    soft = SymmetricGroup().relaxed_head(x, unit, temperature, 20).relaxation
    assert soft is not None
    torch.testing.assert_close(soft.sum(-1), mask[:, None].double(), atol=1e-6, rtol=0)
    (gradient,) = torch.autograd.grad((soft * torch.arange(5)).sum(), unit)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("nodes", [5, 64, 200])
@pytest.mark.parametrize("temperature", [0.01, 0.1])
@pytest.mark.parametrize("way", [Dense, AlongLine])
def test_single_precision_is_that_of_its_inputs(way: Way, nodes: int, temperature: float) -> None:
    """Values to 5e-7 and gradients to 5e-7 of the largest, of graphs of several sizes in several parts.

    Sums of more than 64 terms are allowed as much more rounding as they have more terms.
    """
    noise = torch.Generator().manual_seed(nodes)
    mask = torch.arange(nodes) < torch.randint(nodes // 2, nodes + 1, (100, 1), generator=noise)
    scores = torch.randn(100, nodes, generator=noise) * mask
    scores = scores / scores.norm(dim=-1, keepdim=True)
    scores = scores.gather(-1, sort_descending(scores, mask))
    weights = torch.randn(100, nodes, nodes, generator=noise)
    found = []
    for dtype, the_way in ((torch.float32, way), (torch.float64, AlongLine)):
        leaf = scores.to(dtype).requires_grad_()
        soft, *_ = the_way.apply(leaf, mask, temperature, 20)
        (gradient,) = torch.autograd.grad(soft, leaf, weights.to(dtype))
        found.append((soft.detach().double(), gradient.double() / gradient.abs().max()))
    torch.testing.assert_close(found[0], found[1], atol=5e-7 * max(1.0, nodes / 64), rtol=0)


def test_both_ways_agree_in_stacks() -> None:
    """Under vmap, where no shape may follow the data."""
    noise = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 4, 30, generator=noise, dtype=torch.float64).sort(-1, descending=True).values * 0.1
    mask = torch.arange(30) < torch.tensor([30, 20, 10, 1])[:, None]
    scores = scores * mask
    weights = torch.randn(4, 30, 30, generator=noise, dtype=torch.float64)

    def gradient(way: Way) -> Tensor:
        def weighted(one: Tensor) -> Tensor:
            soft, *_ = way.apply(one, mask, 0.1, 20)
            return (soft * weights).sum()

        return torch.func.vmap(torch.func.grad(weighted))(scores)

    torch.testing.assert_close(gradient(Dense), gradient(AlongLine), atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize(
    ("device", "dtype", "nodes", "temperature", "way"),
    [
        ("cpu", torch.float32, 64, 0.01, Dense),
        ("cpu", torch.float64, 64, 0.01, AlongLine),
        ("cpu", torch.float32, 188, 0.01, AlongLine),
        ("cpu", torch.float64, 188, 0.001, Dense),
        ("meta", torch.float32, 5, 0.01, Dense),
        ("meta", torch.float32, 188, 0.01, Dense),
        ("meta", torch.float32, 444, 0.01, AlongLine),
    ],
)
def test_the_way_is_chosen_by_device_size_and_distances(
    device: str, dtype: torch.dtype, nodes: int, temperature: float, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Way] = []
    for one in (Dense, AlongLine):
        monkeypatch.setattr(one, "apply", lambda *_, one=one: taken.append(one) or (None, None))
    scores = torch.empty(2, nodes, dtype=dtype, device=device)
    soft_identity(scores, torch.ones(2, nodes, dtype=torch.bool, device=device), temperature, 20, 2**0.5)
    assert taken == [way]


@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.01, 0.3]))
def test_entropy(seed: int, temperature: float) -> None:
    scores, mask = scores_and_mask(seed)
    soft = reference_soft_permutation(scores, mask, temperature, 20)
    ours, expected = permutation_entropy(soft, mask), reference_entropy(soft, mask)
    torch.testing.assert_close(ours, expected)
    (gradient,) = torch.autograd.grad(ours, scores, retain_graph=True)
    (expected_gradient,) = torch.autograd.grad(expected, scores)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("representation", [Representation.NODE_SCALARS, Representation.EDGE_SCALARS])
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@given(seed=st.integers(0, 10_000))
def test_gathering_has_the_values_and_gradients_of_the_straight_through_matrix(
    representation: Representation, inverse: bool, shared: bool, seed: int
) -> None:
    """Two graphs of different sizes with three elements each, from the head that samplers use."""
    _, mask = scores_and_mask(seed, rows=2)
    noise = torch.Generator().manual_seed(seed + 1)
    scores = 0.3 * torch.randn(2, 3, 7, generator=noise, dtype=torch.float64) * mask[:, None]
    scores.requires_grad_()
    shape = (2, 1 if shared else 3, 7, *((7,) if representation is Representation.EDGE_SCALARS else ()), 2)
    values = torch.randn(shape, generator=noise, dtype=torch.float64, requires_grad=True)
    x = Structure.build(mask, node_scalars=torch.zeros(2, 7, 1, dtype=torch.float64))
    element = SymmetricGroup().relaxed_head(x, scores, 0.3, 20)
    out = (element.inverse() if inverse else element).act(values, representation)
    matrix = straight_through(scores.flatten(0, 1), mask.repeat_interleave(3, 0), 0.3).unflatten(0, (2, 3))
    matrix = matrix.mT if inverse else matrix
    if representation is Representation.EDGE_SCALARS:
        expected = torch.einsum("bkip,bkpqc,bkjq->bkijc", matrix, values.expand(2, 3, 7, 7, 2), matrix)
    else:
        expected = torch.einsum("bkip,bkpc->bkic", matrix, values.expand(2, 3, 7, 2))
    torch.testing.assert_close(out, expected)
    weights = torch.randn(out.shape, generator=noise, dtype=torch.float64)
    ours = torch.autograd.grad((out * weights).sum(), (scores, values))
    theirs = torch.autograd.grad((expected * weights).sum(), (scores, values))
    for gradient, expected_gradient in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=1e-6)
