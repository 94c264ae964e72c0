"""With the noise drawn, nothing else shows in a prediction: batch, order, chunk, padding, precision, device.

And means over many draws are the means over the group that they stand for, enumerated or by quadrature.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from baselines.build import build, build_sampler
from baselines.catalogue import SAMPLERS
from baselines.model import Model
from baselines.symmetrized import Symmetrized
from harness.registry import method
from tasks.symmetry.element import LinearMap, Permutation
from tasks.symmetry.groups import group
from tasks.symmetry.noise import Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_graphs, random_particles

KINDS = [card.name for card in SAMPLERS]
SINGLE = [random_graphs(5, 6, dtype=torch.float32), random_particles(5, 4, dtype=torch.float32)]
INPUTS = {name: x.to("cpu", torch.float64) for name, x in zip(("graphs", "particles"), SINGLE, strict=True)}
GROUPS = {"graphs": ("S_n",), "particles": ("S_n", "SE(3)")}
ORDER = torch.tensor([3, 0, 4, 1])  # and without the third
SAMPLES = 6


def model_for(kind: str, x: Structure, names: tuple[str, ...], base: str = "mlp", **params: object) -> Model:
    card = method(f"{base}-{kind}")
    output = Representation.NODE_POINTS if x.points.shape[-1] else Representation.GRAPH_SCALARS
    assert card.sampler is not None
    torch.manual_seed(0)
    base_params = {**card.base.params, **({"activation": "tanh", "widths": [32, 32]} if base == "mlp" else {})}
    built = build(card, Signature.of(x, output, 1), names, base_params, {**card.sampler.params, **params})
    return built.double().eval()


def part(noise: Noise, places: Tensor) -> Noise:
    return tuple(values[places] for values in noise)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", INPUTS)
def test_other_structures_of_the_batch_and_chunks_do_not_matter(kind: str, inputs: str) -> None:
    x = INPUTS[inputs]
    model = model_for(kind, x, GROUPS[inputs])
    noise = model.noise(x, SAMPLES, torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = model.from_noise(x, noise, SAMPLES).value
        some = model.from_noise(x[ORDER], part(noise, ORDER), SAMPLES, chunk=4).value
    torch.testing.assert_close(some, whole[ORDER], atol=1e-12, rtol=1e-12)
    assert whole.std(0).min() > 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_precision_and_device_change_rounding_alone(kind: str, inputs: str, device: str) -> None:
    """Of inputs that single precision holds: minimal frames order nodes by a hash of their scalars."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    x = INPUTS[inputs]
    model = model_for(kind, x, GROUPS[inputs])
    noise = model.noise(x, SAMPLES, torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model.from_noise(x, noise, SAMPLES).value
        moved = tuple(values.to(device, torch.float32) for values in noise)
        found = model.to(device, torch.float32).from_noise(x.to(device, torch.float32), moved, SAMPLES).value
    torch.testing.assert_close(found.cpu().double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_absent_nodes_do_not_matter_to_the_elements(kind: str) -> None:
    """Whatever noise they have."""
    x = INPUTS["graphs"]
    card = next(card for card in SAMPLERS if card.name == kind)
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    torch.manual_seed(0)
    sampler = build_sampler(card, group(("S_n",)), signature, {}).double().eval()
    noise = sampler.noise(x, SAMPLES, torch.Generator().manual_seed(1))
    assert all(values.shape[2] == x.nodes for values in noise)
    wider = tuple(torch.cat([values, torch.rand_like(values[:, :, :3])], 2) for values in noise)
    with torch.no_grad():
        expected, found = sampler(x, noise).element, sampler(x.padded(9), wider).element
    assert isinstance(expected, Permutation) and isinstance(found, Permutation)
    exists = x.mask[:, None].expand_as(expected.images)
    assert torch.equal(found.images[..., : x.nodes][exists], expected.images[exists])
    assert torch.equal(found.images[..., x.nodes :].sort(-1).values, torch.arange(6, 9).expand(5, found.samples, -1))


def draws_agree(model: Model, x: Structure, exact: Tensor, count: int) -> None:
    """The mean of draws is within 5 standard errors of ``exact`` ``[B, K, C]``'s mean, and their variance is its."""
    with torch.no_grad():
        drawn = model.draws(x, count, torch.Generator().manual_seed(2), chunk=1000)
    variance = exact.var(1, correction=0)
    assert variance.min() > 1e-6
    assert ((drawn.mean(1) - exact.mean(1)).abs() < 5 * (variance / count).sqrt()).all()
    torch.testing.assert_close(drawn.var(1), variance, rtol=0.1, atol=0)


def test_draws_over_permutations_have_the_mean_and_variance_of_all_of_s5() -> None:
    x = random_graphs(3, 5, padded=False)
    model = model_for("ga", x, ("S_n",))
    assert isinstance(model, Symmetrized)
    everything = torch.tensor(list(itertools.permutations(range(5)))).expand(3, -1, -1)
    copies = x.acted(Permutation.from_images(everything))
    with torch.no_grad():
        draws_agree(model, x, model.base(copies).unflatten(0, (3, 120)), 8000)


def test_draws_over_padded_graphs_have_the_mean_and_variance_of_the_nodes_that_exist() -> None:
    """All orders of the three nodes that exist; the two that do not stay where they are."""
    x = random_graphs(3, 3, padded=False).padded(5)
    model = model_for("ga", x, ("S_n",), base="gin_id")
    assert isinstance(model, Symmetrized)
    orders = torch.tensor([[*order, 3, 4] for order in itertools.permutations(range(3))]).expand(3, -1, -1)
    with torch.no_grad():
        exact = model.base(model.base.pullback(x, Permutation.from_images(orders))).unflatten(0, (3, 6))
        keep = exact.var(1).squeeze(-1) > 1e-6  # a triangle has one order only
        draws_agree(model, x[keep], exact[keep], 8000)
        torch.testing.assert_close(model(x, 6000, torch.Generator()).value, exact.mean(1), atol=0.02, rtol=0.02)


def quadrature(model: Symmetrized, x: Structure, angles: int) -> Tensor:
    """``[B, angles, N, D, 1]``: predictions for turns of the plane by equal parts of a round."""
    angle = torch.arange(angles, dtype=torch.float64) * (2 * math.pi / angles)
    rows = [torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)]
    g = LinearMap(torch.stack(rows, -2).expand(len(x), -1, -1, -1))
    values = model.base(x.acted(g.inverse())).unflatten(0, (len(x), angles))
    return g.act(values, Representation.NODE_VECTORS) + x.points[:, None, :, :, :1]


def test_draws_over_rotations_of_the_plane_have_the_mean_of_a_quadrature() -> None:
    """Of a smooth function, whose quadrature with equal steps converges faster than any power."""
    x = random_particles(3, 3, dimension=2)
    x = replace(x, points=x.points - x.centroid[:, None, :, None])
    model = model_for("ga", x, ("SO(2)",))
    assert isinstance(model, Symmetrized)
    with torch.no_grad():
        exact, finer = (quadrature(model, x, angles) for angles in (128, 256))
        torch.testing.assert_close(exact.mean(1), finer.mean(1), atol=1e-10, rtol=0)
        draws_agree(model, x, exact, 8000)
