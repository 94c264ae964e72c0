"""What samplers are made of, against formulas written out: scatter, axes, open signs, hashes, penalties, noise."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from baselines.build import build_sampler
from baselines.catalogue import SAMPLERS
from baselines.q_networks.gin import NormalisedLinear
from baselines.q_networks.noise_sources import FixedNoise
from baselines.samplers.frame_averaging import WithAxes, principal_axes, scatter
from baselines.samplers.graph_ranks import spectral_signature
from baselines.samplers.hashing import hashed, mixed, shifted
from baselines.samplers.minimal_frames import MinimalFrames, directions
from baselines.samplers.probabilistic import ProbabilisticSymmetrization
from baselines.samplers.sampler import Sampler
from tasks.symmetry.element import LinearMap, Permutation, Product
from tasks.symmetry.groups import FiniteGroup, GeometricGroup, NodeGroup, factors, group
from tasks.symmetry.orthogonalization import gram_schmidt
from tasks.symmetry.representation import Representation
from tasks.symmetry.sorting import permutation_entropy
from tasks.symmetry.structure import Signature, Structure
from tests.structures import cycle, random_graphs, random_particles

CARDS = {card.name: card for card in SAMPLERS}


def sampler(kind: str, names: Sequence[str], x: Structure, **params: object) -> Sampler:
    torch.manual_seed(0)
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    own = {name: value for name, value in params.items() if name in CARDS[kind].params}
    built = build_sampler(CARDS[kind], group(tuple(names)), signature, own)
    return built.double().eval()


def cloud(points: Tensor) -> Structure:
    """Clouds ``[B, N, D]`` of points alone."""
    return Structure.build(torch.ones(points.shape[:2], dtype=torch.bool), points=points[..., None])


def axes_group(name: str) -> WithAxes:
    symmetry = group((name,))
    assert isinstance(symmetry, WithAxes)
    return symmetry


@pytest.mark.parametrize("name", ["O(3)", "SO(3)", "E(3)", "SE(3)", "Sim(3)", "SSim(3)", "Aff(3)"])
def test_axes_are_those_of_the_moments_of_points(name: str) -> None:
    """By loops: second moments about the origin or the centroid; of Aff(d) sums of |z|^2 z z^T over what is white."""
    x, symmetry = random_particles(3, 5).padded(7), axes_group(name)
    for b, found in enumerate(scatter(x, symmetry)):
        points, vectors = x.points[b, :5, :, 0], x.vectors[b, :5, :, 0]
        centred = points - points.mean(0)
        if name == "Aff(3)":
            both = torch.cat([centred, vectors])
            root = torch.linalg.cholesky(both.T @ both / 10)
            white = torch.linalg.solve(root, both.T).T
            expected = sum(z.square().sum() * torch.outer(z, z) for z in white)
        else:
            expected = sum(torch.outer(z, z) for z in (points if "O" in name else centred))
        torch.testing.assert_close(found, expected, atol=1e-6 if name == "Aff(3)" else 1e-10, rtol=1e-6)


@pytest.mark.parametrize("name", ["O(3)", "SE(3)", "Sim(3)"])
@pytest.mark.parametrize("kind", ["fa", "mfa"])
def test_what_chance_draws_are_axes_all_the_same(kind: str, name: str) -> None:
    """A square: its normal is an axis, and so is any basis of its plane: every draw makes the moments diagonal."""
    square = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
    turn = gram_schmidt(torch.randn(20, 3, 3, dtype=torch.float64))
    x = cloud(square @ turn.mT)
    symmetry, built = axes_group(name), sampler(kind, (name,), x, exact=False)
    found = built(x, built.noise(x, 6, torch.Generator().manual_seed(1))).element
    axes = symmetry.rest_frame(x).inverse().compose(found).matrix  # type: ignore[attr-defined]
    moments = axes.mT @ scatter(x, symmetry)[:, None] @ axes
    diagonal = torch.diag_embed(moments.diagonal(dim1=2, dim2=3))
    torch.testing.assert_close(moments, diagonal, atol=1e-9, rtol=0)


@pytest.mark.parametrize("open_axis", [0, 1, 2])
def test_rotations_turn_the_axis_that_points_leave_open(open_axis: int) -> None:
    """Points that are their own mirror image along one axis: what orientation asks for falls to that axis.

    The others point where the points do, so that nothing is left to chance and one element comes from any draw.
    """
    random = torch.Generator().manual_seed(open_axis)
    half = torch.randn(6, 3, generator=random, dtype=torch.float64)
    half = half - half.mean(0) * torch.nn.functional.one_hot(torch.tensor(open_axis), 3)
    mirror = torch.ones(3, dtype=torch.float64)
    mirror[open_axis] = -1
    points = torch.cat([half, half * mirror])
    basis = torch.linalg.eigh(points.T @ points).eigenvectors
    points = points @ basis  # axes are those of the coordinates, in the order in which a frame has them
    place = int((basis[open_axis].abs() > 0.5).nonzero())
    for turn in gram_schmidt(torch.randn(5, 3, 3, generator=random, dtype=torch.float64)):
        x = cloud((points @ turn.T)[None])
        built, copies = sampler("mfa", ("SO(3)",), x), x[torch.zeros(50, dtype=torch.long)]
        matrices = built(copies, built.noise(copies, 1, torch.Generator().manual_seed(3))).element.matrix[:, 0]
        assert torch.equal(matrices, matrices[:1].expand_as(matrices))
        assert torch.linalg.det(matrices[0]) > 0
        known = directions(x, axes_group("SO(3)"), matrices[:1, None])[0, 0]
        assert known[place] == 0 and (known.sum() == 2).item()
        torch.testing.assert_close(matrices[0].abs(), turn.abs(), atol=1e-9, rtol=0)


def test_directions_are_those_of_the_first_odd_sum_that_does_not_vanish() -> None:
    """Of coordinates, of their cubes, of coordinates times squared lengths; even clouds have none."""
    axes = torch.eye(3, dtype=torch.float64)[None, None]
    along = {
        "sums": ([[1.0, 0, 0], [2, 0, 0], [-1, 0, 0]], 1),
        "against": ([[-1.0, 0, 0], [-2, 0, 0], [1, 0, 0]], -1),
        "cubes": ([[2.0, 0, 0], [-1, 0, 0], [-1, 0, 0]], 1),
        "cubes against": ([[-2.0, 0, 0], [1, 0, 0], [1, 0, 0]], -1),
        "lengths": ([[1.0, 3, 0], [-1, 0, 0], [0, -3, 0]], 1),
        "none": ([[1.0, 0, 0], [-1, 0, 0], [0, 2, 0]], 0),
    }
    for points, expected in along.values():
        x = cloud(torch.tensor([points], dtype=torch.float64))
        assert directions(x, axes_group("O(3)"), axes)[0, 0, 0] == expected
        assert directions(x, axes_group("O(3)"), -axes)[0, 0, 0] == -expected


def test_axes_of_different_samples_of_an_open_plane_differ() -> None:
    x = cloud(torch.tensor([[[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]], dtype=torch.float64))
    built = sampler("fa", ("O(3)",), x, exact=False)
    noise = built.noise(x, 50, torch.Generator().manual_seed(1))[1]
    axes = principal_axes(x, axes_group("O(3)"), noise)[0].flatten(1)
    assert (torch.cdist(axes, axes) < 1e-6).sum() == 50


def test_a_node_of_the_lowest_shared_colour_is_drawn_from_all_that_have_it() -> None:
    """Two cycles of different lengths: the one whose colour is lowest is broken first, the other by what is left."""
    three, five = cycle(3), cycle(5)
    edges = torch.zeros(1, 8, 8, 1, dtype=torch.float64)
    edges[:, :3, :3], edges[:, 3:, 3:] = three.edge_scalars, five.edge_scalars
    scalars = torch.cat([three.node_scalars, 2 * five.node_scalars], 1)
    x = Structure.build(torch.ones(1, 8, dtype=torch.bool), node_scalars=scalars, edge_scalars=edges)
    built = sampler("mfa", ("S_n",), x)
    assert isinstance(built, MinimalFrames)
    copies = x[torch.zeros(6000, dtype=torch.long)]
    found = built(copies, built.noise(copies, 1, torch.Generator().manual_seed(1))).element
    laid_out = copies.acted(found.inverse())
    assert (laid_out.edge_scalars == laid_out.edge_scalars[:1]).all()
    orders, counts = found.images[:, 0].unique(dim=0, return_counts=True)
    assert len(orders) == 6 * 10  # every automorphism of both
    assert ((counts - 100) ** 2 / 100).sum() < 105  # the 99.98 % point with 59 degrees of freedom


@pytest.mark.parametrize("unit", [1e-14, 1e8])
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("fa", ("S_n", "O(3)")),
        ("fa", ("S_n", "E(3)")),
        ("mfa", ("S_n", "O(3)")),
        ("mfa", ("S_n", "E(3)")),
        ("mfa", ("S_n",)),
    ],
)
def test_elements_do_not_depend_on_the_units_of_numbers(kind: str, names: tuple[str, ...], unit: float) -> None:
    """What is a tie, and what an even sum or an eigenspace, is so relative to the size of what it is made of."""
    x = random_particles(4, 5)
    if names == ("S_n",):  # graphs whose edges have weights
        x = Structure.build(x.mask, node_scalars=x.vectors[..., 0], edge_scalars=x.edge_scalars[..., 1:])
    elif kind == "fa":  # its order is that of places where there are no edges
        x = Structure.build(x.mask, points=x.points, vectors=x.vectors)
    scaled = Structure.build(
        x.mask,
        node_scalars=unit * x.node_scalars,
        points=unit * x.points,
        vectors=unit * x.vectors,
        edge_scalars=unit * x.edge_scalars,
    )
    built = sampler(kind, names, x, exact=False)
    noise = built.noise(x, 4, torch.Generator().manual_seed(1))
    here, there = built(x, noise).element, built(scaled, noise).element
    for one, other in zip(*(g.factors if isinstance(g, Product) else (g,) for g in (here, there)), strict=True):
        if isinstance(one, Permutation):
            assert torch.equal(one.images, other.images)  # type: ignore[attr-defined]
        else:
            torch.testing.assert_close(one.matrix, other.matrix, atol=1e-9, rtol=0)  # type: ignore[attr-defined]


def test_hashes_are_those_of_the_published_generator() -> None:
    """SplitMix64 from the seed 1234567, whose first numbers are known: each mixes the last state's successor."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    step = 0x9E3779B97F4A7C15
    states = [(1234567 + turn * step) % 2**64 for turn in range(5)]
    signed = [state - 2**64 if state >> 63 else state for state in states]
    assert [value % 2**64 for value in mixed(torch.tensor(signed)).tolist()] == known


def test_hashes_of_equal_numbers_are_equal_and_places_count() -> None:
    values = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [0.0, 1.0 + 2e-16]], dtype=torch.float64)
    first, again, exchanged, next_number = hashed(values).tolist()
    assert first == again and len({first, exchanged, next_number}) == 3
    assert hashed(values.float())[0].item() == first
    numbers = torch.tensor([-1, -(2**63), 2**62, 5])
    assert shifted(numbers, 3).tolist() == [(number % 2**64) >> 3 for number in numbers.tolist()]


def test_calls_of_fixed_noise_are_independent_of_each_other_and_of_the_seed() -> None:
    x = random_graphs(40, 5)
    like = torch.zeros((), dtype=torch.float64)
    chance, other = FixedNoise(x, torch.tensor(1)), FixedNoise(x, torch.tensor(2))
    drawn = [chance.uniform((40, 10, 5), like), chance.uniform((40, 10, 5), like), other.uniform((40, 10, 5), like)]
    drawn.append(chance.normal((40, 10, 5), like))
    for one, two in itertools.combinations(drawn, 2):
        correlation = torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1]
        assert correlation.abs() < 5 / 2000**0.5
    assert (drawn[0].mean() - 0.5).abs() < 5 * (1 / 12 / 2000) ** 0.5


CHANCE = [("ga", ["S_n"]), ("ga", ["SO(3)"]), ("fa", ["S_n", "E(3)"]), ("mfa", ["S_n", "E(3)"])]
CHANCE += [("ps", ["S_n", "O(3)"]), ("canonical", ["S_n", "O(3)"]), ("ps", ["S_n"])]


@pytest.mark.parametrize(("kind", "names"), CHANCE)
def test_noise_of_structures_and_samples_is_drawn_independently(kind: str, names: list[str]) -> None:
    """No part of it is that of the next sample or of the next structure, nor of another part."""
    x = random_particles(50, 4) if kind != "ps" or len(names) > 1 else random_graphs(50, 4, padded=False)
    built = sampler(kind, names, x, exact=False)
    parts = [part.reshape(*part.shape[:2], -1) for part in built.noise(x, 20, torch.Generator().manual_seed(1))]
    for part in parts:
        scaled = (part - part.mean((0, 1))) / part.std((0, 1))
        for axis in (0, 1) if part.shape[1] > 1 else (0,):
            correlation = (scaled * scaled.roll(1, axis)).mean((0, 1))
            assert correlation.abs().max() < 6 / scaled[..., 0].numel() ** 0.5
    one_by_one = torch.cat(parts, -1).flatten(0, 1)
    off_diagonal = torch.corrcoef(one_by_one.T) - torch.eye(one_by_one.shape[1], dtype=torch.float64)
    assert off_diagonal.abs().max() < 6 / len(one_by_one) ** 0.5


def test_scores_that_are_all_zero_leave_the_nodes_in_place() -> None:
    x = random_graphs(3, 5)
    built = sampler("ps", ("S_n",), x)
    assert isinstance(built, ProbabilisticSymmetrization)
    scores = torch.zeros(3, 2, 5, dtype=torch.float64, requires_grad=True)
    symmetry = group(("S_n",))
    assert isinstance(symmetry, NodeGroup)
    found = built.relaxation.permutation(symmetry, x, scores)
    assert torch.equal(found.images, torch.arange(5).expand(3, 2, 5)) and found.relaxation is not None
    permutation_entropy(found.relaxation.flatten(0, 1), x.mask.repeat_interleave(2, 0)).backward()
    assert scores.grad is not None and scores.grad.isfinite().all()


@pytest.mark.parametrize("names", [["S_n"], ["D_n"], ["S_n", "B_3"], ["C_n", "D_4"], ["C_5"]])
def test_the_penalty_is_the_entropy_of_every_factor(names: list[str]) -> None:
    """Added up over what is soft, times its weight; none where all gradients are true ones."""
    dimension = next((f.dimension for f in factors(group(tuple(names))) if isinstance(f, GeometricGroup)), 0)
    x = random_particles(3, 5, dimension=dimension) if dimension else random_graphs(3, 6)
    built = sampler("ps", names, x, entropy_weight=0.3, temperature=0.2)
    assert isinstance(built, ProbabilisticSymmetrization)
    noise = built.noise(x, 2, torch.Generator().manual_seed(1))
    output = built.network(x, noise, built.noise_scale)
    expected = torch.zeros((), dtype=torch.float64)
    for factor in factors(built.group):
        if isinstance(factor, NodeGroup):
            scores = (output.scores * x.mask[:, None]).flatten(0, 1)
            unit = (scores / scores.norm(dim=-1, keepdim=True)).view_as(output.scores)
            soft = factor.relaxed_head(x, unit, 0.2, built.relaxation.steps).relaxation
            assert soft is not None
            expected = expected + permutation_entropy(soft.flatten(0, 1), x.mask.repeat_interleave(2, 0))
        else:
            assert isinstance(factor, FiniteGroup)
            _, law = factor.relaxed_compact_head(output.matrix, 0.2)
            expected = expected - (law * law.log()).sum(-1).mean()
    sample = built(x, noise)
    torch.testing.assert_close(sample.statistics["entropy"], expected)
    torch.testing.assert_close(sample.penalty, 0.3 * expected)
    rotations = sampler("ps", ["SO(3)"], random_particles(2, 4))
    assert rotations(random_particles(2, 4), rotations.noise(random_particles(2, 4), 1, None)).penalty is None


@pytest.mark.parametrize("names", [["S_n"], ["SO(3)"], ["S_n", "E(3)"]])
def test_noise_counts_as_much_as_its_scale(names: list[str]) -> None:
    """q without a scale knows its noise by what breaks ties alone; with one, scaled noise is noise of that scale."""
    x = random_graphs(3, 6) if names == ["S_n"] else random_particles(3, 5)
    built = sampler("ps", names, x, noise_scale=0.5)
    assert isinstance(built, ProbabilisticSymmetrization)
    features, *rest = built.noise(x, 2, torch.Generator().manual_seed(1))
    whole = built(x, (features, *rest)).element
    output = built.network(x, (features / 2, *rest), 1.0)
    for factor, part in zip(
        factors(built.group), whole.factors if isinstance(whole, Product) else (whole,), strict=True
    ):
        expected, _ = built.relaxation.element(factor, x, output)
        if isinstance(expected, Permutation):
            assert torch.equal(part.images, expected.images)  # type: ignore[attr-defined]
        else:
            torch.testing.assert_close(part.matrix, expected.matrix)  # type: ignore[attr-defined]
    built.noise_scale = 0.0
    still, moved = (built.network(x, (scale * features, *rest), 0.0) for scale in (1.0, 100.0))
    for one, other in ((still.scores, moved.scores), (still.matrix, moved.matrix)):
        assert one is None or other is None or torch.equal(one, other)


def test_in_evaluation_a_normalised_map_has_the_statistics_of_training() -> None:
    """LinearMap, then batch normalisation by running means and variances, then ReLU: one affine map."""
    torch.manual_seed(0)
    built = NormalisedLinear(5, 4).double().train()
    for _ in range(3):
        built(3 * torch.randn(50, 5, dtype=torch.float64) + 2)
    with torch.no_grad():
        built.norm.weight.normal_()
        built.norm.bias.normal_()
    rows = torch.randn(7, 2, 5, dtype=torch.float64)
    linear, norm = built.eval().linear, built.norm
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None and mean.abs().max() > 0.1
    expected = ((linear(rows) - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias).relu()
    torch.testing.assert_close(built(rows), expected)


@pytest.mark.parametrize("angle", [1e-3, 1e-6, 1e-9])
def test_columns_that_are_nearly_dependent_become_orthonormal(angle: float) -> None:
    columns = torch.ones(50, 4, 1, dtype=torch.float64) + angle * torch.randn(50, 4, 4, dtype=torch.float64)
    for matrix in (columns, torch.complex(columns, columns.roll(1, 0))):
        found = gram_schmidt(matrix)
        identity = torch.eye(4, dtype=found.dtype).expand_as(found)
        torch.testing.assert_close(found.mH @ found, identity, atol=1e-13, rtol=0)


def test_every_element_of_a_frame_is_of_its_group() -> None:
    for name in ("SO(2)", "SO(3)", "SE(4)", "SSim(2)"):
        x = random_particles(4, 5, dimension=int(name[-2]))
        for kind, exact in itertools.product(("fa", "mfa"), (True, False)):
            built = sampler(kind, (name,), x, exact=exact)
            element = built(x, built.noise(x, 5, torch.Generator().manual_seed(1))).element
            assert isinstance(element, LinearMap) or hasattr(element, "translation")
            assert (torch.linalg.det(element.matrix) > 0).all()  # type: ignore[attr-defined]


def test_rounding_never_tells_apart_nodes_whose_entries_of_an_eigenvector_are_equal() -> None:
    """On 64 nodes that hang together each entry of the first one is 1/8, which stands between two decimals."""
    first = spectral_signature(random_graphs(10, 64, padded=False))[..., 0]
    assert (first == first[:, :1]).all()


@pytest.mark.parametrize("field", ["vectors", "node_scalars"])
def test_nodes_in_one_place_are_sorted_by_what_else_they_carry(field: str) -> None:
    """A frame of nodes and space leaves to chance what nothing tells apart, and no more."""
    points = random_particles(3, 5).points.index_copy(1, torch.tensor([1]), random_particles(3, 5).points[:, :1])
    other = {"vectors": random_particles(3, 5).vectors, "node_scalars": random_particles(3, 5).vectors[..., 0]}
    x = Structure.build(torch.ones(3, 5, dtype=torch.bool), points=points, **{field: other[field]})
    for symmetry, space in ((("S_n", "B_3"), "fa"), (("S_n", "SE(3)"), "mfa")):
        built = sampler(space, symmetry, x, exact=True)
        first, second = (built(x, built.noise(x, 1, torch.Generator().manual_seed(seed))).element for seed in (1, 2))
        assert isinstance(first, Product) and isinstance(second, Product)
        assert torch.equal(first.factors[0].images, second.factors[0].images)  # type: ignore[attr-defined]


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", sorted(CARDS))
def test_elements_are_called_deterministic_where_chance_has_no_say(kind: str, exact: bool, edges: bool) -> None:
    """On a complete graph of points, whose nodes no edge tells apart and every place does."""
    x = random_particles(2, 4)
    complete = 1 - torch.eye(4, dtype=torch.float64).expand(2, 4, 4)[..., None]
    x = Structure.build(x.mask, points=x.points, **({"edge_scalars": complete} if edges else {}))
    built = sampler(kind, ("S_n", "E(3)"), x, **({"exact": exact} if "fa" in kind else {}))
    drawn = [built(x, built.noise(x, 2, torch.Generator().manual_seed(seed))).element for seed in range(4)]
    images = [element.factors[0].images for element in drawn]  # type: ignore[attr-defined]
    alike = all(torch.equal(images[0], other) for other in images[1:])
    assert alike or not built.deterministic
    assert built.deterministic == (kind == "none" or ("fa" in kind and exact and not edges))
