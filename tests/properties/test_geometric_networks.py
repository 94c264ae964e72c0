"""Networks on points in space: as symmetric as their cards say, blind to padding and batch; e3nn's products by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from e3nn import o3
from torch import nn

from baselines.build import build_network
from baselines.catalogue import BASES, EQUIVARIANT
from baselines.equivariant.fa_gnn import whole_frame
from baselines.equivariant.tensor_field import channelwise_product
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.structures import random_particles

CARDS = {card.name: card for card in (*BASES, *EQUIVARIANT)}
NETWORKS = ["egnn", "radial_field", "vector_neurons", "tfn", "tfn_se3", "fa_gnn", "mpnn", "set_transformer"]
SIGNS = torch.tensor([-1.0, 1.0])  # of charges that attract where they repelled, and distances as they are
FACTORS = ["S_n", "O(3)", "SO(3)", "E(3)", "SE(3)"]


def network(name: str, x: Structure, output: Representation, **params: object) -> nn.Module:
    """With all weights of order one: networks that start as the identity would hide a fault."""
    torch.manual_seed(0)
    signature = Signature.of(x, output, 3 if output is Representation.GRAPH_SCALARS else 1)
    model = build_network(CARDS[name], signature, {"layers": 2, **params}).double()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    return model.eval()


def clouds(batch: int, nodes: int, seed: int = 0) -> Structure:
    """Points without anything else, off the origin."""
    points = torch.randn(batch, nodes, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return Structure.build(torch.ones(batch, nodes, dtype=torch.bool), points=points + 2)


def padded_clouds() -> Structure:
    return Structure.cat([clouds(3, 5).padded(7), clouds(3, 7, seed=1)])


CASES = {
    "clouds": (clouds(6, 7), Representation.GRAPH_SCALARS),
    "particles": (random_particles(6, 5), Representation.NODE_POINTS),
    "particles-scalars": (random_particles(6, 5), Representation.GRAPH_SCALARS),
    "padded": (padded_clouds(), Representation.GRAPH_SCALARS),
    "padded-points": (padded_clouds(), Representation.NODE_POINTS),
}
OUTPUTS = [
    (name, output)
    for name in NETWORKS
    for output in (Representation.GRAPH_SCALARS, Representation.NODE_POINTS)
    if output.value in CARDS[name].writes
]
AN_OUTPUT = dict(reversed(OUTPUTS))  # of each network: graph scalars where it has them


@pytest.mark.parametrize(
    ("name", "case"), [(n, case) for n in NETWORKS for case, (_, output) in CASES.items() if (n, output) in OUTPUTS]
)
def test_networks_respect_what_their_card_says(name: str, case: str) -> None:
    x, output = CASES[case]
    model = network(name, x, output)
    y = model(x) * (1 if output is Representation.GRAPH_SCALARS else x.mask[..., None, None])
    assert (y - y.mean(0)).abs().max() > 1e-3  # it says something of its input
    for factor in FACTORS:
        g = group((factor,)).random(x, 1, torch.Generator().manual_seed(1))
        gap = model(x.acted(g)) - g.act(y[:, None], output)[:, 0]
        gap = gap[x.mask] if output is Representation.NODE_POINTS else gap
        respected = gap.abs().max().item() < 1e-10
        assert respected == (factor in CARDS[name].respects), factor


@pytest.mark.parametrize(("name", "output"), OUTPUTS)
def test_padding_and_the_batch_do_not_leak(name: str, output: Representation) -> None:
    """On whole structures a network that knows of padding gives what one gives that does not."""
    x = clouds(5, 6)
    plain, padded = network(name, x, output), network(name, x.padded(8), output)
    padded.load_state_dict(plain.state_dict())
    y = plain(x)
    torch.testing.assert_close(padded(x.padded(8))[:, : y.shape[1]], y, atol=1e-10, rtol=0)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(plain(x[order]), y[order], atol=1e-10, rtol=0)
    torch.testing.assert_close(plain(x[1:2]), y[1:2], atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["fa_gnn", "mpnn"])
def test_where_no_node_is_the_points_are_zero(name: str) -> None:
    x = padded_clouds()
    y = network(name, x, Representation.NODE_POINTS)(x)
    assert not y[~x.mask].any() and y[x.mask].all()


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_few_points_and_coincident_ones_have_finite_gradients(name: str, nodes: int) -> None:
    x = clouds(4, nodes).padded(3)
    x = Structure.cat([x, Structure.build(x.mask, points=torch.zeros_like(x.points))])
    model = network(name, x, AN_OUTPUT[name]).train()
    model(x).square().sum().backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision_gives_the_same_to_rounding(name: str) -> None:
    x = clouds(4, 7)
    model = network(name, x, AN_OUTPUT[name])
    y = model(x)
    single = model.float()(x.to("cpu", torch.float32))
    assert single.dtype is torch.float32
    torch.testing.assert_close(single.double(), y, atol=1e-4 * y.abs().max().item(), rtol=0)


@pytest.mark.parametrize("name", ["egnn", "radial_field", "vector_neurons", "tfn", "tfn_se3"])
def test_mirror_images_differ_for_proper_symmetry_alone(name: str) -> None:
    x = clouds(4, 6)
    mirrored = Structure.build(x.mask, points=-x.points)
    model = network(name, x, Representation.GRAPH_SCALARS)
    gap = (model(mirrored) - model(x)).abs().max().item()
    assert gap > 1e-3 if name == "tfn_se3" else gap < 1e-10


@pytest.mark.parametrize("name", ["egnn", "radial_field", "vector_neurons", "tfn", "tfn_se3", "fa_gnn", "mpnn"])
def test_charges_and_velocities_are_read(name: str) -> None:
    x = random_particles(4, 5)
    model = network(name, x, Representation.NODE_POINTS)
    still = Structure.build(x.mask, points=x.points, vectors=0 * x.vectors, edge_scalars=x.edge_scalars)
    swapped = Structure.build(x.mask, points=x.points, vectors=x.vectors, edge_scalars=x.edge_scalars * SIGNS)
    for other in (still, swapped):
        assert ((model(other) - model(x)).abs().amax((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("name", ["tfn", "tfn_se3"])
def test_large_edges_do_not_blow_up_a_tensor_field(name: str) -> None:
    """Squared distances are edges: linear in them, each of four layers multiplies messages by them."""
    x = random_particles(4, 5)
    larger = Structure.build(x.mask, points=x.points, vectors=x.vectors, edge_scalars=100 * x.edge_scalars)
    model = network(name, x, Representation.NODE_POINTS, layers=4)
    moved, further = ((model(inputs) - x.points).norm().item() for inputs in (x, larger))
    assert 1 < further / moved < 20


@pytest.mark.parametrize("parity", [-1, 1])
def test_products_up_to_degree_one_are_those_of_scalars_and_vectors(parity: int) -> None:
    """Scalar and vector times scalar and vector: by hand, in e3nn's scale (components of unit variance)."""
    harmonics = o3.Irreps.spherical_harmonics(1, p=parity)
    product = channelwise_product(o3.Irreps([(2, (0, 1)), (2, (1, parity))]), harmonics).double()
    s, v = torch.randn(2, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    r = torch.randn(3, dtype=torch.float64)
    weights = torch.randn(product.weight_numel, dtype=torch.float64)
    unit = r / r.norm()
    by_hand = {
        "0 x 0 to 0": s,
        "0 x 1 to 1": s[:, None] * 3**0.5 * unit,
        "1 x 0 to 1": v,
        "1 x 1 to 0": v @ unit,
    }
    if parity == 1:
        by_hand["1 x 1 to 1"] = 1.5**0.5 * torch.linalg.cross(v, unit.expand(2, 3))
    assert product.weight_numel == 2 * len(by_hand)
    by_channel = zip(weights.view(-1, 2), by_hand.values(), strict=True)
    expected = torch.cat([(w[:, None] * part.view(2, -1)).flatten() for w, part in by_channel])
    y = o3.spherical_harmonics(harmonics, r, normalize=True, normalization="component")
    torch.testing.assert_close(y, torch.cat([torch.ones(1, dtype=torch.float64), 3**0.5 * unit]))
    found = product(torch.cat([s, v.flatten()])[None], y[None], weights[None])[0]
    torch.testing.assert_close(found, expected)


def test_higher_degrees_are_equivariant_to_the_precision_of_the_couplings() -> None:
    """e3nn keeps them in the precision in which the network was made: single, here and in a run."""
    x = clouds(4, 6)
    model = network("tfn", x, Representation.GRAPH_SCALARS, degree=2)
    g = group(("E(3)",)).random(x, 1, torch.Generator().manual_seed(1))
    y = model(x)
    assert 1e-12 < (model(x.acted(g)) - y).abs().max() < 1e-6 * y.abs().max()


@pytest.mark.parametrize("wrong", [{"degree": 0}, {}])
def test_a_tensor_field_network_refuses_what_it_cannot_do(wrong: dict[str, int]) -> None:
    x = random_particles(1, 3, dimension=3 if wrong else 2)
    with pytest.raises(ValueError, match="works in 3 dimensions with a degree of at least 1"):
        network("tfn", x, Representation.NODE_POINTS, **wrong)


def test_a_radial_field_moves_no_further_than_its_distances() -> None:
    """Whatever its weights: the last function of phi is a tanh."""
    x = random_particles(4, 5)
    still = Structure.build(x.mask, points=x.points, edge_scalars=x.edge_scalars)
    model = network("radial_field", still, Representation.NODE_POINTS, layers=1)
    with torch.no_grad():
        model.layers[0].phi[2].weight.mul_(1e3)
    distances = (x.points[:, :, None, :, 0] - x.points[:, None, :, :, 0]).norm(dim=-1)
    moved = (model(still) - x.points).norm(dim=2)[..., 0]
    assert (moved <= distances.sum(2) / 4 + 1e-12).all()
    assert moved.max() > 0.1


PLANE = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
OPEN_AXES = {"a square": PLANE, "two points": PLANE[::2], "one point": PLANE[:1], "one place": PLANE[:1].expand(4, 3)}


@pytest.mark.parametrize("kind", OPEN_AXES)
def test_a_frame_in_every_layer_moves_with_points_that_leave_axes_open(kind: str) -> None:
    points = (OPEN_AXES[kind] + 2)[None, ..., None]
    drawn = torch.randn(*points.shape, dtype=torch.float64)
    x = Structure.build(torch.ones(points.shape[:2], dtype=torch.bool), points=points, vectors=drawn)
    model = network("fa_gnn", x, Representation.NODE_POINTS)
    g = group(("E(3)",)).random(x, 1, torch.Generator().manual_seed(1))
    expected = g.act(model(x)[:, None], Representation.NODE_POINTS)[:, 0]
    torch.testing.assert_close(model(x.acted(g)), expected, atol=1e-10, rtol=0)


def test_frames_are_given_without_a_gradient_and_in_full_precision() -> None:
    """Whatever the precision around them: there are no eigenvectors in bfloat16."""
    x = clouds(4, 6).to("cpu", torch.float32)
    points = x.points.clone().requires_grad_()
    expected = whole_frame(x).matrix
    with torch.autocast("cpu", torch.bfloat16):
        found = whole_frame(replace(x, points=points)).matrix
    assert not found.requires_grad and found.dtype is torch.float32
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["egnn", "radial_field"])
def test_positions_hardly_move_before_training(name: str) -> None:
    """But for velocities; the weights that are trained then move them as far as distances."""
    x = clouds(4, 6)
    torch.manual_seed(0)
    signature = Signature.of(x, Representation.NODE_POINTS, 1)
    fresh = build_network(CARDS[name], signature, {}).double()
    assert 0 < (fresh(x) - x.points).abs().max() < 5e-2
    assert (network(name, x, Representation.NODE_POINTS)(x) - x.points).abs().max() > 0.1


def test_a_frame_in_every_layer_needs_features_that_are_vectors() -> None:
    with pytest.raises(ValueError, match="multiple of the dimension of space, unlike 8 and 3"):
        network("fa_gnn", random_particles(1, 3), Representation.NODE_POINTS, width=8)


def test_the_network_on_raw_positions_follows_its_equations() -> None:
    """For one node and one neighbour after another; of the edge it reads the product of charges alone."""
    x = random_particles(1, 4)
    model = network("mpnn", x, Representation.NODE_POINTS, width=8, edge_channels=1)
    h = [model.embed(torch.cat([x.points[0, i, :, 0], x.vectors[0, i, :, 0]])) for i in range(4)]
    for layer in model.layers:
        messages = [
            sum(layer.edge(torch.cat([h[i], h[j], x.edge_scalars[0, i, j, :1]])) for j in range(4) if j != i)
            for i in range(4)
        ]
        h = [own + layer.node(torch.cat([own, total])) for own, total in zip(h, messages, strict=True)]
    expected = torch.stack([model.decode(own) for own in h])
    torch.testing.assert_close(model(x)[0, :, :, 0], expected, atol=1e-12, rtol=1e-12)
