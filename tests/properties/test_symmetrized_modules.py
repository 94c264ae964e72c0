"""A module that is not symmetric becomes equivariant under every group with every sampler that covers it.

Noise is moved along with the input, as far as a sampler's law is that of noise: phi(g x, g noise) = g phi(x, noise).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from baselines.catalogue import SAMPLERS
from baselines.symmetrized_module import SymmetrizedModule
from harness.errors import DoesNotFit
from harness.symmetrize import symmetrize
from tasks.symmetry.element import Element
from tasks.symmetry.groups import GeometricGroup, Group, NodeGroup, factors, group
from tasks.symmetry.noise import Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.roles import OUTPUTS, ROLES, acted_output, present, ranks_of, tensors_of
from tasks.symmetry.structure import Structure
from tests.properties.test_samplers_on_groups import (
    SYMMETRIES,
    WITH_CANONICAL_FORMS,
    WITH_FINITE_FRAMES,
    left_over,
    moved_noise,
    on_nodes,
    structures_for,
)

KINDS = [card.name for card in SAMPLERS if card.name != "none"]
SHAPES = {"graph_features": "BC", "node_features": "BNC", "positions": "BND", "vectors": "BNDV"}
SHAPES |= {"adjacency": "BNN", "edge_features": "BNNC"}


class Flat(nn.Module):
    """A perceptron on all inputs in a row, which knows nodes and axes by their places."""

    def __init__(self, inputs: Sequence[Tensor], role: str, dimension: int) -> None:
        super().__init__()
        nodes = inputs[0].shape[1]
        sizes = {"N": nodes, "D": dimension, "C": 2, "V": 2}
        self.shape = [sizes[axis] for axis in SHAPES[role][1:]]
        width = sum(values[0].numel() for values in inputs)
        self.layers = nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, math.prod(self.shape)))

    def forward(self, *inputs: Tensor) -> Tensor:
        row = torch.cat([values.flatten(1).double() for values in inputs], 1)
        return self.layers(row).unflatten(1, self.shape)


def inputs_of(x: Structure) -> dict[str, Tensor]:
    """Structures as the tensors of a user."""
    given = {"edge_features": x.edge_scalars, "node_features": x.node_scalars, "vectors": x.vectors}
    given = {role: values for role, values in given.items() if values.shape[-1]}
    return given | {"mask": x.mask} | ({"positions": x.points[..., 0]} if x.points.shape[-1] else {})


def model_for(kind: str, symmetry: Group, x: Structure, role: str) -> SymmetrizedModule:
    torch.manual_seed(0)
    given = inputs_of(x)
    module = Flat(list(given.values()), role, x.points.shape[2]).double()
    size = {"width": 24} if kind in ("ps", "canonical") else {"exact": True} if kind == "mfa" else {}
    return symmetrize(module, symmetry.name, kind, inputs=given, output=role, **size).eval()


def noise_along(kind: str, symmetry: Group, x: Structure, g: Element, noise: Noise) -> Noise:
    """The noise of a sampler for ``g x`` that gives the elements ``g h`` where it gives h for x."""
    if kind in ("ps", "canonical"):
        return moved_noise(symmetry, x, g, noise)
    k, parts = left_over(symmetry, x, g), list(noise)
    if isinstance(factors(symmetry)[0], NodeGroup) and (kind == "ga" or symmetry.name.startswith("S_n")):
        parts[0] = on_nodes(k, parts[0])
    if isinstance(factors(symmetry)[-1], GeometricGroup) and kind == "ga":
        frames = parts[-1][:, :, None].expand(-1, -1, x.nodes, -1, -1)
        parts[-1] = k.act(frames, Representation.NODE_VECTORS)[:, :, 0]
    return tuple(parts)


def covers(kind: str, names: tuple[str, ...]) -> bool:
    if kind in ("fa", "mfa"):
        return names in (WITH_FINITE_FRAMES if kind == "fa" else WITH_CANONICAL_FORMS)
    return kind != "ga" or not any("Aff" in name for name in names)


def value(model: SymmetrizedModule, x: Structure, ranks: dict[str, int], noise: Noise) -> Tensor:
    model.symmetrized.noise = lambda *_: noise  # type: ignore[method-assign,assignment]
    return model(*tensors_of(x, ranks).values(), samples=3)


@pytest.mark.parametrize("names", SYMMETRIES, ids=" x ".join)
@pytest.mark.parametrize("kind", KINDS)
def test_a_module_is_equivariant_or_refused(kind: str, names: tuple[str, ...]) -> None:
    symmetry = group(names)
    x = structures_for(symmetry)
    if covers(kind, names):
        assert_moves(kind, symmetry, x, "positions" if x.points.shape[2] else "adjacency")
        return
    message = re.escape(f"The sampler '{kind}' does not cover {symmetry.name} on these inputs:")
    with pytest.raises(DoesNotFit, match=message):
        model_for(kind, symmetry, x, "graph_features")


@pytest.mark.parametrize("role", OUTPUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_output_moves_with_the_input(kind: str, role: str) -> None:
    symmetry = group(("S_n", "E(3)"))
    assert_moves(kind, symmetry, structures_for(symmetry), role)


def assert_moves(kind: str, symmetry: Group, x: Structure, role: str) -> None:
    """phi(g x, g noise) = g phi(x, noise)."""
    g = symmetry.random(x, 1, torch.Generator().manual_seed(2))
    model = model_for(kind, symmetry, x, role)
    noise = model.symmetrized.noise(x, 3, torch.Generator().manual_seed(1))
    ranks = ranks_of(inputs_of(x))
    with torch.no_grad():
        here = value(model, x, ranks, noise)
        there = value(model, x.acted(g), ranks, noise_along(kind, symmetry, x, g, noise))
    expected = present(acted_output(here[:, None], role, g)[:, 0], role, x)
    torch.testing.assert_close(there, expected, atol=1e-9 * (1 + expected.abs().max().item()), rtol=0)
    assert here.std() > 1e-4


def test_without_a_sampler_the_module_is_what_it_was() -> None:
    x = structures_for(group(("S_n", "E(3)")))
    model = model_for("none", group(("S_n", "E(3)")), x, "positions")
    given = tuple(inputs_of(x).values())
    torch.testing.assert_close(model(*given), model.module(*given))


def test_the_mean_over_all_of_s3_is_that_of_a_loop() -> None:
    """Group averaging with each of the six orders once."""
    torch.manual_seed(0)
    h, a = torch.randn(4, 3, 2), torch.rand(4, 3, 3)
    module = Flat([h, a], "edge_features", 0).double()
    h, a = h.double(), a.double()
    model = symmetrize(module, "S_n", "ga", inputs={"node_features": h, "adjacency": a}, output="edge_features").eval()
    orders = torch.tensor(list(itertools.permutations(range(3))))
    model.symmetrized.noise = lambda *_: (orders.double().expand(4, -1, -1),)  # type: ignore[method-assign,assignment]
    expected = torch.zeros(4, 3, 3, 2, dtype=torch.float64)
    for order in orders:
        back = order.argsort()
        expected += module(h[:, order], a[:, order][:, :, order])[:, back][:, :, back] / 6
    torch.testing.assert_close(model(h, a, samples=6), expected)


def test_the_mean_over_all_of_c4_is_that_of_a_loop() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    module = Flat([x], "positions", 2).double()
    model = symmetrize(module, "C_4", "fa", inputs={"positions": x}, output="positions").eval()
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    turns = [torch.linalg.matrix_power(quarter, step) for step in range(4)]
    expected = sum(module(x @ turn) @ turn.T for turn in turns) / 4  # rows: x @ turn is the inverse turn
    torch.testing.assert_close(model(x), expected)


def test_the_mean_of_draws_is_invariant_in_law() -> None:
    """Without any control of noise: means over many draws at x and at g x agree within their errors."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    model = symmetrize(Flat([x], "graph_features", 3).double(), inputs={"positions": x}, width=24).eval()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    moved = x[:, torch.randperm(4)] @ turn.T
    with torch.no_grad():
        one, other = (model(y.repeat(40, 1, 1), samples=20).unflatten(0, (40, 2)) for y in (x, moved))
    error = ((one.var(0) + other.var(0)) / 40).sqrt()
    assert ((one.mean(0) - other.mean(0)).abs() < 5 * error).all()
    assert (model.module(x) - model.module(moved)).abs().max() > 5 * error.max()


def test_roles_of_outputs_are_all_tried() -> None:
    assert set(SHAPES) == set(OUTPUTS) == {role for role in ROLES if role != "mask"}
