"""Whole finite groups, what networks may read under a subgroup of O(D), and soft cyclic and dihedral permutations."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.symmetry.element import LinearMap, Permutation
from tasks.symmetry.groups import FiniteGroup, GeometricGroup, NodeGroup, SequenceGroup, group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_momenta, random_particles

FINITE = ["C_1", "C_5", "D_1", "D_4", "B_1", "B_2", "B_3"]
SUBGROUPS = ["U(1)", "U(2)", "SU(2)", "C_1", "C_2", "C_5", "D_1", "D_4", "B_3", "SO+(1,3)"]


def finite(name: str) -> FiniteGroup:
    found = group((name,))
    assert isinstance(found, FiniteGroup)
    return found


@pytest.mark.parametrize("name", FINITE)
def test_all_matrices_of_a_finite_group(name: str) -> None:
    """Each once, closed under products, and all that random elements are drawn from."""
    symmetry = finite(name)
    matrices = symmetry.matrices(torch.zeros((), dtype=torch.float64))
    assert len(matrices) == symmetry.size
    flat = matrices.flatten(1)
    assert torch.equal(torch.cdist(flat, flat) < 1e-9, torch.eye(len(flat), dtype=torch.bool))
    products = (matrices[:, None] @ matrices).flatten(0, 1).flatten(1)
    assert torch.cdist(products, flat).amin(1).max() < 1e-9
    x = random_particles(1, 3, dimension=symmetry.dimension)
    random = symmetry.random(x, 200, torch.Generator().manual_seed(0))
    assert isinstance(random, LinearMap)
    assert torch.cdist(random.matrix[0].flatten(1), flat).amin(1).max() < 1e-9


@pytest.mark.parametrize("name", SUBGROUPS)
@given(seed=st.integers(0, 10_000))
def test_covariants_move_with_vectors_under_the_compact_part(name: str, seed: int) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    noise = torch.Generator().manual_seed(seed)
    vectors = torch.randn(1, 4, symmetry.dimension, 3, generator=noise, dtype=torch.float64)
    frame = torch.randn(1, 1, symmetry.dimension, symmetry.dimension, generator=noise, dtype=torch.float64)
    k = symmetry.compact_head(frame)
    both = symmetry.covariants(vectors)
    assert torch.equal(both[..., :3], vectors) and both.shape[-1] > 3
    torch.testing.assert_close(symmetry.covariants(k.matrix @ vectors), k.matrix @ both, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", SUBGROUPS)
def test_covariants_do_not_move_with_vectors_under_all_of_space(name: str) -> None:
    """So that a network that reads them may know of what only the subgroup leaves alone."""
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    vectors = torch.randn(1, 4, symmetry.dimension, 3, dtype=torch.float64)
    space = group((f"O({symmetry.dimension})",))
    assert isinstance(space, GeometricGroup)
    k = space.compact_head(torch.randn(1, 9, symmetry.dimension, symmetry.dimension, dtype=torch.float64))
    vectors = vectors[:, None]
    matrix = k.matrix[:, :, None]
    difference = symmetry.covariants(matrix @ vectors) - matrix @ symmetry.covariants(vectors)
    assert difference.abs().max() > 0.1


@pytest.mark.parametrize("name", ["E(3)", "O(3)", "SO+(1,3)", "Sim(3)", "Aff(3)", "U(2)"])
def test_the_geometry_at_rest_is_that_of_the_structure_at_rest(name: str) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    x = random_momenta(2, 5) if name == "SO+(1,3)" else random_particles(2, 5, dimension=symmetry.dimension)
    expected = x.padded(7).acted(symmetry.rest_frame(x).inverse()).geometry
    torch.testing.assert_close(symmetry.geometry_at_rest(x.padded(7)), expected, atol=1e-12, rtol=0)


def law_by_enumeration(reversals: bool, scores: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """All elements of C_n or D_n as matrices ``[G, n, n]`` (row: image) with probabilities ``[G]``, written as loops.

    A softmax over the scores chooses where to start, and one over the two neighbours' scores where to go on.
    """
    n = len(scores)
    matrices, probabilities = [], []
    for start, step in itertools.product(range(n), (1, -1) if reversals else (1,)):
        matrix = torch.zeros(n, n, dtype=scores.dtype)
        for place in range(n):
            matrix[(start + step * place) % n, place] = 1
        ways = torch.stack([scores[(start + 1) % n], scores[(start - 1) % n]]) / temperature
        side = ways.softmax(0)[0 if step == 1 else 1] if reversals else torch.ones_like(scores[0])
        matrices.append(matrix)
        probabilities.append((scores / temperature).softmax(0)[start] * side)
    return torch.stack(matrices), torch.stack(probabilities)


def chosen(reversals: bool, scores: Tensor) -> int:
    """The place in the enumeration of the element that the two comparisons choose."""
    n, start = len(scores), int(scores.argmax())
    backwards = bool(scores[(start + 1) % n] < scores[(start - 1) % n])
    return 2 * start + backwards if reversals else start


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("representation", [Representation.NODE_SCALARS, Representation.EDGE_SCALARS])
@pytest.mark.parametrize("reversals", [False, True])
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.1, 1.0]))
def test_relaxed_heads_are_dense_straight_through_matrices(
    reversals: bool, representation: Representation, inverse: bool, seed: int, temperature: float
) -> None:
    """Values and gradients of P_hard - stop_gradient(P_soft) + P_soft, with P_soft the mean over the whole group."""
    x = random_graphs(3, 6, seed=seed)
    noise = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, 2, 6, generator=noise, dtype=torch.float64)
    scores = (scores * x.mask[:, None] / (scores * x.mask[:, None]).norm(dim=-1, keepdim=True)).requires_grad_()
    values = x.edge_scalars if representation is Representation.EDGE_SCALARS else x.node_scalars
    values = (values + torch.randn(values.shape, generator=noise, dtype=torch.float64) * (values != 0))[:, None]
    values.requires_grad_()
    symmetry = SequenceGroup(reversals)
    element = symmetry.relaxed_head(x, scores, temperature, 20)
    assert torch.equal(element.images, symmetry.head(x, scores).images)
    out = (element.inverse() if inverse else element).act(values, representation)

    rows = []
    for b, k in itertools.product(range(3), range(2)):
        n = int(x.mask[b].sum())
        matrices, law = law_by_enumeration(reversals, scores[b, k, :n], temperature)
        hard, soft = matrices[chosen(reversals, scores[b, k, :n])], (law[:, None, None] * matrices).sum(0)
        matrix = torch.eye(6, dtype=torch.float64)
        matrix[:n, :n] = hard - soft.detach() + soft
        matrix = matrix.mT if inverse else matrix
        moved = torch.einsum("ip,p...->i...", matrix, values[b, 0])
        if representation is Representation.EDGE_SCALARS:
            moved = torch.einsum("jq,iqc->ijc", matrix, moved)
        rows.append(moved)
    expected = torch.stack(rows).unflatten(0, (3, 2))
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    weights = torch.randn(out.shape, generator=noise, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((part * weights).sum(), (scores, values)) for part in (out, expected))
    for gradient, expected_gradient in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("name", ["S_n", "C_n", "D_n"])
def test_soft_identities_tend_to_the_identity_and_ignore_absent_nodes(name: str) -> None:
    symmetry = group((name,))
    assert isinstance(symmetry, NodeGroup)
    x = random_graphs(4, 6)
    scores = torch.randn(4, 2, 6, dtype=torch.float64) * x.mask[:, None]
    scores = scores / scores.norm(dim=-1, keepdim=True)
    soft = symmetry.relaxed_head(x, scores, 1e-4, 20).relaxation
    assert soft is not None
    torch.testing.assert_close(soft, torch.diag_embed(x.mask.double())[:, None].expand_as(soft), atol=1e-6, rtol=0)
    padded = symmetry.relaxed_head(x.padded(9), torch.nn.functional.pad(scores, (0, 3)), 0.3, 20).relaxation
    assert padded is not None
    here = symmetry.relaxed_head(x, scores, 0.3, 20).relaxation
    torch.testing.assert_close(padded[..., :6, :6], here, atol=1e-12, rtol=0)
    assert not padded[..., 6:, :].any() and not padded[..., 6:].any()


def particles(dimension: int) -> Structure:
    return random_particles(1, 4, dimension=dimension)


def only_vectors(dimension: int) -> Structure:
    x = particles(dimension)
    return Structure.build(x.mask, vectors=x.vectors)


@pytest.mark.parametrize(
    ("names", "make", "sentence"),
    [
        (("SO(3)",), lambda: random_graphs(1, 4), r"SO\(3\) acts on points and vectors, and there are none"),
        (("S_n", "E(2)"), lambda: particles(3), r"E\(2\) acts on R\^2, and points and vectors are in R\^3"),
        (("U(2)",), lambda: particles(3), r"U\(2\) acts on R\^4"),
        (("Sim(3)",), lambda: only_vectors(3), r"Sim\(3\) moves points, and there are only vectors"),
    ],
)
def test_a_group_with_nothing_to_act_on_says_so(
    names: tuple[str, ...], make: Callable[[], Structure], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        group(names).check(Signature.of(make(), Representation.GRAPH_SCALARS, 1))


def test_what_there_is_to_act_on_is_no_error() -> None:
    for names, x in ((("S_n", "SE(3)"), particles(3)), (("SO(3)",), only_vectors(3)), (("D_n",), random_graphs(1, 4))):
        group(names).check(Signature.of(x, Representation.GRAPH_SCALARS, 1))


@pytest.mark.parametrize("names", [("S_n", "C_n"), ("O(3)", "S_n", "B_3")])
def test_two_factors_on_one_thing_are_no_direct_product(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"both act on .*: a direct product takes one of them"):
        group(names)


def test_permutations_of_the_relaxed_head_are_inverse_to_each_other() -> None:
    x = random_graphs(3, 6)
    scores = torch.randn(3, 2, 6, dtype=torch.float64, requires_grad=True)
    element = SequenceGroup(True).relaxed_head(x, scores, 0.1, 20)
    assert isinstance(element, Permutation)
    assert torch.equal(element.images.gather(-1, element.preimages), torch.arange(6).expand(3, 2, 6))
