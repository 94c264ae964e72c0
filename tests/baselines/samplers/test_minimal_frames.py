"""Minimal frames: one element on almost every input, which moves exactly with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.build import build
from baselines.catalogue import MINIMAL_FRAMES
from baselines.model import Model
from baselines.samplers import minimal_frames
from baselines.samplers.minimal_frames import MinimalFrames, edge_colours, levels
from harness.registry import method
from tasks.nbody import charged_particles
from tasks.symmetry.element import LinearMap, Permutation, Rigid
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import cycle, random_graphs, random_particles

EUCLIDEAN = ["O(3)", "SO(3)", "E(3)", "SE(3)"]


def sampler(x: Structure, *names: str, **params: object) -> MinimalFrames:
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    return MinimalFrames(group(names), signature, MINIMAL_FRAMES.settings_from(params))


def element(built: MinimalFrames, x: Structure, seed: int) -> LinearMap | Rigid | Permutation:
    found = built(x, built.noise(x, 9, torch.Generator().manual_seed(seed))).element
    assert isinstance(found, LinearMap | Rigid | Permutation)
    return found


def at_rest(points: Tensor) -> Structure:
    return Structure.build(torch.ones(1, len(points), dtype=torch.bool), points=points[None, ..., None])


@pytest.mark.parametrize("name", EUCLIDEAN)
@given(seed=st.integers(0, 10_000))
def test_one_rotation_that_moves_exactly_with_the_points(name: str, seed: int) -> None:
    x = random_particles(3, 6, seed=seed)
    built = sampler(x, name)
    g = built.group.random(x, 1, torch.Generator().manual_seed(seed))
    relabelled = x.acted(group(("S_n",)).random(x, 1, torch.Generator().manual_seed(seed)))
    here, there = element(built, relabelled, seed=1), element(built, x.acted(g), seed=2)
    kinds = LinearMap | Rigid
    assert isinstance(g, kinds) and isinstance(here, kinds) and isinstance(there, kinds)
    assert here.samples == 1
    torch.testing.assert_close(there.matrix, g.matrix @ here.matrix, atol=1e-10, rtol=0)
    identity = torch.eye(3, dtype=torch.float64).expand(3, 1, 3, 3)
    torch.testing.assert_close(here.matrix @ here.matrix.mT, identity, atol=1e-10, rtol=0)
    assert not name.startswith("S") or (torch.linalg.det(there.matrix) > 0).all()


@pytest.mark.parametrize(("name", "open_signs"), [("O(3)", 8), ("SO(3)", 4)])
def test_what_stays_open_stays_in_the_frame(name: str, open_signs: int) -> None:
    """Points that equal their own mirror image in the origin leave all signs open; the law is uniform over them."""
    half = torch.randn(4, 3, dtype=torch.float64)
    x = at_rest(torch.cat([half, -half]))
    copies = x[torch.zeros(4000, dtype=torch.long)]
    found = element(sampler(x, name), copies, seed=1)
    assert isinstance(found, LinearMap)
    counts = found.matrix.flatten(1).round(decimals=8).unique(dim=0, return_counts=True)[1]
    assert len(counts) == open_signs
    assert ((counts - 4000 / open_signs) ** 2 / (4000 / open_signs)).sum() < 29.9  # 99.99 %, 7 degrees of freedom


@pytest.mark.parametrize("name", ["O(3)", "SO(3)"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_exact_frame_is_a_set_that_moves_with_the_points(name: str, symmetric: bool) -> None:
    half = torch.randn(4, 3, dtype=torch.float64)
    x = at_rest(torch.cat([half, -half]) if symmetric else half)
    built = sampler(x, name, exact=True)
    g = built.group.random(x, 1, None)
    here, there = element(built, x, seed=1), element(built, x.acted(g), seed=2)
    assert isinstance(g, LinearMap) and isinstance(here, LinearMap) and isinstance(there, LinearMap)
    expected, found = ((part[0]).flatten(1) for part in (g.matrix @ here.matrix, there.matrix))
    distances = torch.cdist(found, expected) < 1e-10
    assert torch.equal(distances.sum(0), distances.sum(1))
    assert (distances.sum(0) == (8 if not symmetric else 2 if name == "SO(3)" else 1)).all()


def model_for(name: str, x: Structure, symmetry: tuple[str, ...]) -> Model:
    card = method(name)
    assert card.sampler is not None
    output = Representation.NODE_POINTS if x.points.shape[-1] else Representation.GRAPH_SCALARS
    torch.manual_seed(0)
    signature = Signature.of(x, output, 1)
    return build(card, signature, symmetry, card.base.params, card.sampler.params).double().eval()


@pytest.mark.parametrize("base", ["mlp", "gin_id", "transformer"])
@given(seed=st.integers(0, 10_000))
def test_graph_models_are_exactly_invariant(base: str, seed: int) -> None:
    """One sample, whatever is drawn: shared colours of graphs this small are orbits."""
    x = random_graphs(4, 7, seed=seed)
    model = model_for(f"{base}-mfa", x, ("S_n",))
    moved = x.acted(group(("S_n",)).random(x, 1, torch.Generator().manual_seed(seed)))
    one, other = (model(y, 5, torch.Generator().manual_seed(s)).value for s, y in enumerate((x, moved)))
    torch.testing.assert_close(other, one, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("base", "symmetry"), [("gnn", ("E(3)",)), ("mlp", ("S_n", "SE(3)")), ("transformer", ("S_n", "E(3)"))]
)
def test_particle_models_are_exactly_equivariant(base: str, symmetry: tuple[str, ...]) -> None:
    x = random_particles(4, 5)
    model = model_for(f"{base}-mfa", x, symmetry)
    g = group(symmetry).random(x, 1, torch.Generator().manual_seed(1))
    expected = g.act(model(x, 5, torch.Generator().manual_seed(2)).value[:, None], Representation.NODE_POINTS)[:, 0]
    moved = model(x.acted(g), 5, torch.Generator().manual_seed(3)).value
    torch.testing.assert_close(moved, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("base", ["mlp", "transformer"])
def test_distances_that_are_computed_again_give_the_same_order(base: str, dtype: torch.dtype) -> None:
    """A simulation that is redone from moved particles has the squared distances of the first one but for rounding."""
    position, velocity = torch.randn(2, 50, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    charge = torch.randint(0, 2, (50, 5), generator=torch.Generator().manual_seed(1)) * 2.0 - 1
    x = charged_particles(position.to(dtype), velocity.to(dtype), charge.to(dtype))
    symmetry = ("S_n", "E(3)")
    g = group(symmetry).random(x, 1, torch.Generator().manual_seed(2))
    carried = x.acted(g)
    products, points = carried.edge_scalars[..., 0], carried.points[..., 0]
    squares = (points[:, :, None] - points[:, None]).square().sum(-1)
    moved = replace(carried, edge_scalars=torch.stack([products, squares], -1))
    assert not torch.equal(moved.edge_scalars, carried.edge_scalars)
    model = model_for(f"{base}-mfa", x, symmetry).to(dtype)
    expected = g.act(model(x, 1, torch.Generator().manual_seed(3)).value[:, None], Representation.NODE_POINTS)[:, 0]
    found = model(moved, 1, torch.Generator().manual_seed(4)).value
    torch.testing.assert_close(found, expected, atol=100 * torch.finfo(dtype).eps, rtol=0)


def test_levels_are_ranks_in_which_rounding_is_no_step() -> None:
    values = torch.tensor([[3.0, 1.0, 1.0 + 1e-15, -2.0, 1.0 + 1e-9, 77.0]], dtype=torch.float64)[..., None]
    exists = torch.tensor([[True, True, True, True, True, False]])
    assert levels(values, exists)[0, :5, 0].tolist() == [3, 1, 1, 0, 2]


def test_edges_are_ranked_some_structures_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no tensor of ranks, which are 64-bit numbers, is as large as a batch of dense edges."""
    x = random_graphs(5, 4)
    whole = edge_colours(x)
    sizes = []
    monkeypatch.setattr(minimal_frames, "SCALARS_AT_ONCE", 2 * 4**2)
    monkeypatch.setattr(minimal_frames, "levels", lambda *part: (sizes.append(len(part[0])), levels(*part))[1])
    assert torch.equal(edge_colours(x), whole)
    assert sizes == [2, 2, 1]


def test_a_cycle_is_laid_out_alike_from_any_of_its_nodes() -> None:
    x = cycle(6)
    copies = x[torch.zeros(3000, dtype=torch.long)]
    found = element(sampler(x, "S_n"), copies, seed=1)
    assert isinstance(found, Permutation)
    laid_out = copies.acted(found.inverse()).edge_scalars
    assert torch.equal(laid_out, laid_out[:1].expand_as(laid_out))
    assert len(found.images.flatten(0, 1).unique(dim=0)) == 12  # the automorphisms of the cycle, no more
    counts = torch.nn.functional.one_hot(found.images[:, 0], 6).double().sum(0)
    assert ((counts - 500) ** 2 / 500).sum(1).max() < 25.7  # the 99.99 % point with 5 degrees of freedom


def test_absent_nodes_stay_last_and_the_batch_does_not_matter() -> None:
    x = random_graphs(4, 6)
    padded = x.padded(9)
    built = sampler(x, "S_n")
    noise = built.noise(padded, 1, torch.Generator().manual_seed(1))[0]
    whole = built(padded, (noise,)).element.images
    assert torch.equal(whole[:, 0, 6:], torch.arange(6, 9).expand(4, 3))
    alone = built(x[2:3], (noise[2:3, :, :6],)).element.images
    assert torch.equal(whole[2:3, :, :6], alone)
