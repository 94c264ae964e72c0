"""The laws that elements are drawn by: moments in closed form, independence, and chance that is a seed's alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tasks.symmetry.element import Affine, Element, LinearMap, Permutation, Product
from tasks.symmetry.groups import GeometricGroup, Group, factors, group
from tasks.symmetry.groups.lorentz import LorentzGroup, LorentzTransformation
from tasks.symmetry.structure import Structure
from tests.structures import random_graphs, random_momenta, random_particles, with_several

DRAWS = 20_000
# Of a matrix k of the compact part: the mean of tr(k)^2, and how many of the elements turn orientation.
COMPACT = {
    "O(1)": (1, 0.5),
    "O(2)": (1, 0.5),
    "O(3)": (1, 0.5),
    "SO(2)": (2, 0),
    "SO(3)": (1, 0),
    "E(2)": (1, 0.5),
    "E(3)": (1, 0.5),
    "SE(2)": (2, 0),
    "SE(3)": (1, 0),
    "Sim(3)": (1, 0.5),
    "SSim(2)": (2, 0),
    "SSim(3)": (1, 0),
    "U(2)": (2, 0),
    "SU(2)": (4, 0),
    "C_3": (2, 0),
    "C_5": (2, 0),
    "D_1": (2, 0.5),
    "D_4": (1, 0.5),
    "B_1": (1, 0.5),
    "B_2": (1, 0.5),
    "B_3": (1, 0.5),
    "SO+(1,3)": (1, 0),
}


def space(name: str) -> GeometricGroup:
    symmetry = group((name,))
    assert isinstance(symmetry, GeometricGroup)
    return symmetry


def structure(symmetry: Group, batch: int = 1) -> Structure:
    dimension = next((f.dimension for f in factors(symmetry) if isinstance(f, GeometricGroup)), None)
    if dimension is None:
        return random_graphs(batch, 5, padded=False)
    if "SO+(1,3)" in symmetry.name:
        return random_momenta(batch, 4)
    return random_particles(batch, 4, dimension=dimension)


def matrix(element: Element) -> Tensor:
    assert isinstance(element, LinearMap | Affine)
    return element.matrix


def near(values: Tensor, expected: float) -> bool:
    """Whether the mean over draws is within five standard errors of what is expected, entry by entry."""
    return bool(((values.mean(0) - expected).abs() <= 5 * values.std(0) / len(values) ** 0.5 + 1e-9).all())


def seen_from_rest(symmetry: GeometricGroup, x: Structure, element: Element) -> Tensor:
    """``[draws, D, D]``: the compact part of elements; of space-time, of its space."""
    compact = matrix(symmetry.rest_frame(x).inverse().compose(element))[0]
    return compact[:, 1:, 1:] if symmetry.name == "SO+(1,3)" else compact


@pytest.mark.parametrize("name", COMPACT)
def test_group_averaging_has_the_moments_of_haar_measure(name: str) -> None:
    symmetry = space(name)
    x = structure(symmetry)
    noise = symmetry.noise(x, DRAWS, torch.Generator().manual_seed(1))
    compact = seen_from_rest(symmetry, x, symmetry.uniform(x, noise))
    identity = torch.eye(compact.shape[-1], dtype=compact.dtype)
    torch.testing.assert_close(compact @ compact.mT, identity.expand_as(compact), atol=1e-9, rtol=0)
    squared_trace, turning = COMPACT[name]
    trace = compact.diagonal(dim1=1, dim2=2).sum(-1)
    assert near(trace.square(), squared_trace)
    assert near((torch.linalg.det(compact) < 0).double(), turning)
    if name != "D_1":  # which keeps the first axis
        assert near(compact, 0) and near(compact.square(), 1 / len(identity))
    assert near(compact @ compact.roll(1, 0).mT, 0) or name == "D_1"  # successive draws


def normal(values: Tensor, deviation: float) -> bool:
    """Whether values have the first four moments of a normal law about 0."""
    scaled = values / deviation
    return near(scaled, 0) and near(scaled.square(), 1) and near(scaled.pow(4), 3)


@pytest.mark.parametrize("name", ["E(3)", "SE(3)", "Sim(3)", "SSim(2)", "Aff(3)"])
def test_random_elements_translate_and_scale(name: str) -> None:
    """Translations are standard normal, the logarithms of scales have deviation 1/2, those of a shear's 1/4."""
    symmetry = space(name)
    element = symmetry.random(structure(symmetry), DRAWS, torch.Generator().manual_seed(1))
    assert isinstance(element, Affine)
    assert normal(element.translation[0], 1.0)
    linear = element.matrix[0]
    sizes = torch.linalg.svdvals(linear).log()
    rotation = linear / torch.linalg.det(linear).abs().pow(1 / len(linear[0]))[:, None, None]
    assert near((torch.linalg.det(linear) < 0).double(), 0 if name[0] == "S" and name != "Sim(3)" else 0.5)
    assert near(rotation, 0) and near(rotation @ rotation.roll(1, 0).mT, 0)
    if name == "Aff(3)":
        assert near(sizes.mean(-1), 0) and near(sizes.square().mean(-1), 1 / 16)
        assert (sizes[:, 0] - sizes[:, -1] > 1e-3).double().mean() > 0.99
    elif "Sim" in name:
        torch.testing.assert_close(sizes, sizes[:, :1].expand_as(sizes), atol=1e-9, rtol=0)
        assert normal(sizes[:, 0], 0.5)
    else:
        torch.testing.assert_close(sizes, torch.zeros_like(sizes), atol=1e-9, rtol=0)


def test_random_lorentz_transformations_are_rotations_before_boosts() -> None:
    symmetry = space("SO+(1,3)")
    element = symmetry.random(structure(symmetry), DRAWS, torch.Generator().manual_seed(1))
    transformation = matrix(element)[0]
    velocity, energy = transformation[:, 1:, 0], transformation[:, 0, 0]
    assert normal(velocity, 0.5)
    torch.testing.assert_close(energy.square() - velocity.square().sum(-1), torch.ones_like(energy))
    # A boost to u has the space part 1 + u u^T / (1 + u_0); what is left when it is undone is a rotation.
    undone = torch.eye(3, dtype=energy.dtype) + velocity[:, :, None] * velocity[:, None] / (1 + energy)[:, None, None]
    rotation = undone @ transformation[:, 1:, 1:] - velocity[:, :, None] * transformation[:, :1, 1:]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).to(rotation).expand_as(rotation))
    assert near(rotation, 0) and near(rotation.diagonal(dim1=1, dim2=2).sum(-1).square(), 1)
    assert near(torch.linalg.det(rotation), 1)


@pytest.mark.parametrize("forwards", [True, False])
def test_momenta_of_either_energy_have_a_rest_frame(forwards: bool) -> None:
    """Time keeps its direction: particles of negative energy rest at minus their mass."""
    symmetry = space("SO+(1,3)")
    assert isinstance(symmetry, LorentzGroup)
    x = random_momenta(40, 3)
    x = x if forwards else replace(x, vectors=-x.vectors)
    total = x.vectors.sum((1, 3))
    mass = (total[:, 0].square() - total[:, 1:].square().sum(-1)).sqrt()
    frame = symmetry.rest_frame(x)
    assert isinstance(frame, LorentzTransformation)
    form = torch.diag(torch.tensor([1.0, -1, -1, -1], dtype=torch.float64))
    torch.testing.assert_close(frame.matrix.mT @ form @ frame.matrix, form.expand_as(frame.matrix))
    assert (frame.matrix[..., 0, 0] >= 1).all() and (torch.linalg.det(frame.matrix) > 0).all()
    at_rest = x.acted(frame.inverse()).vectors.sum((1, 3))
    expected = torch.cat([(mass if forwards else -mass)[:, None], torch.zeros(40, 3, dtype=torch.float64)], 1)
    torch.testing.assert_close(at_rest, expected, atol=1e-10, rtol=0)
    g = symmetry.random(x, 1, torch.Generator().manual_seed(2))
    columns = torch.randn(40, 2, 4, 4, dtype=torch.float64)
    moved = matrix(g) @ columns
    found, expected = symmetry.head(x.acted(g), moved), g.compose(symmetry.head(x, columns))
    torch.testing.assert_close(matrix(found), matrix(expected), atol=1e-8, rtol=0)


@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("name", ["E(3)", "SSim(2)", "Aff(3)", "SO+(1,3)"])
def test_what_is_at_rest_is_all_that_the_nodes_carry(name: str, vectors: bool) -> None:
    """Several points and vectors of the nodes that exist: centroid, size, moments and momentum, by loops."""
    symmetry = space(name)
    x = random_momenta(3, 4) if name == "SO+(1,3)" else random_particles(3, 4, dimension=symmetry.dimension)
    x = with_several(x, 6)
    if not vectors:
        timelike = torch.cat([x.points[:, :, :1].abs() + 20, x.points[:, :, 1:]], 2) * x.mask[..., None, None]
        x = replace(x, points=timelike if name == "SO+(1,3)" else x.points, vectors=x.vectors[..., :0])
    seen = x.acted(symmetry.rest_frame(x).inverse())
    for b in range(3):
        points = [seen.points[b, node, :, channel] for node in range(4) for channel in range(2)]
        carried = [seen.vectors[b, node, :, channel] for node in range(4) for channel in range(3 * vectors)]
        if name == "SO+(1,3)":
            momentum = torch.stack(carried or points).sum(0)
            torch.testing.assert_close(momentum[1:], torch.zeros(3).to(momentum), atol=1e-9, rtol=0)
            continue
        assert torch.stack(points).mean(0).abs().max() < 1e-12
        if name == "SSim(2)":
            torch.testing.assert_close(torch.stack(points).square().sum(-1).mean(), torch.ones(()).double())
        if name == "Aff(3)":
            moments = torch.stack([torch.outer(v, v) for v in points + carried]).mean(0)
            torch.testing.assert_close(moments, torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)


EVERY = ["S_n", "C_n", "D_n", *COMPACT, "Aff(3)"]
SYMMETRIES = [(name,) for name in EVERY if name not in ("O(1)", "B_1", "D_1")]
SYMMETRIES += [("S_n", "E(3)"), ("C_n", "Sim(3)"), ("D_n", "B_3")]


def coordinates(element: Element) -> Tensor:
    """``[B, K, M]``: one number for each factor at least, by which elements that differ most often differ."""
    if isinstance(element, Product):
        return torch.cat([coordinates(factor) for factor in element.factors], -1)
    if isinstance(element, Permutation):
        return element.images.double()
    return matrix(element).flatten(2)


LAWS = [("random", names) for names in SYMMETRIES] + [
    ("uniform", names) for names in SYMMETRIES if "Aff(3)" not in names
]


@pytest.mark.parametrize(("law", "names"), LAWS)
def test_elements_of_structures_and_samples_are_drawn_independently(law: str, names: tuple[str, ...]) -> None:
    """No coordinate of one draw is correlated with that of the next sample, or of the next structure."""
    symmetry = group(names)
    x = structure(symmetry)[torch.zeros(60, dtype=torch.long)]

    def drawn(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        if law == "random":
            return coordinates(symmetry.random(x, 60, generator))
        return coordinates(symmetry.uniform(x, symmetry.noise(x, 60, generator)))

    before = torch.get_rng_state()
    values = drawn(1)
    assert torch.equal(values, drawn(1)) and not torch.equal(values, drawn(2))
    assert torch.equal(torch.get_rng_state(), before)  # all chance comes from the generator that was given
    centred = values - values.mean((0, 1))
    scaled = centred / centred.square().mean((0, 1)).sqrt().clamp_min(1e-9)
    for axis in (0, 1):
        correlation = (scaled * scaled.roll(1, axis)).mean((0, 1))
        assert correlation.abs().max() < 6 / 60
