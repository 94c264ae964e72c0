"""Frames and the frame-averaged network against the authors' code (Puny et al. 2022): O(3) on particles, S_n on graphs.

On S_n ours is the same frame in the opposite direction, and equivariant on all graphs. The official one counts how
often an eigenvalue occurs by comparing float32 numbers, and is not equivariant on graphs of EXP.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from baselines.catalogue.equivariant import FAGNNSettings
from baselines.catalogue.samplers import FrameSettings
from baselines.equivariant.fa_gnn import FAGNN
from baselines.samplers.frame_averaging import FrameAveraging, sorting_frame
from baselines.samplers.graph_ranks import spectral_signature
from tasks.symmetry.element import Rigid
from tasks.symmetry.groups import group
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.golden.particles import structures
from tests.golden.vectors import FORWARD, assert_gradients, below, load, names_of_layers, vectors

EXP = [f"exp{index}" for index in range(4)]
OTHERS = [*(f"pattern_like{index}" for index in range(3)), *(f"random{index}" for index in range(4))]
FOUND = vectors("frames_o3")
IN_SPACE = below(FOUND, "o3.")


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, **FORWARD)


def places(found: Tensor, expected: Tensor) -> Tensor:
    """``[B, 8]``: where in ``found`` ``[B, 8, ...]`` each of ``expected`` is, of which it must be a reordering."""
    same = (found[:, None] - expected[:, :, None]).abs().flatten(3).amax(-1) < 1e-12
    assert (same.sum(1) == 1).all() and (same.sum(2) == 1).all()
    return same.int().argmax(2)


def taken(values: Tensor, index: Tensor) -> Tensor:
    return values[torch.arange(len(values))[:, None], index]


@cache
def frame_of_particles() -> tuple[Structure, Rigid]:
    x = structures(IN_SPACE)
    sampler = FrameAveraging(group(("E(3)",)), Signature.of(x, Representation.NODE_POINTS, 1), FrameSettings())
    element = sampler(x, sampler.noise(x, 8, torch.Generator().manual_seed(0))).element
    assert isinstance(element, Rigid)
    return x, element


def test_the_eight_frames_and_what_is_seen_in_them() -> None:
    x, element = frame_of_particles()
    order = places(element.matrix, IN_SPACE["frames"])
    seen = x.acted(element.inverse())
    framed = torch.cat([seen.points, seen.vectors], -1).mT.flatten(2).unflatten(0, (len(x), 8))
    close(taken(framed, order), IN_SPACE["framed"])


def test_what_is_taken_out_of_the_frames_and_averaged() -> None:
    x, element = frame_of_particles()
    close(x.centroid, IN_SPACE["centroid"])
    outputs = taken(IN_SPACE["net1.outputs_in_frames"], places(IN_SPACE["frames"], element.matrix))[..., None]
    close(element.act(outputs, Representation.NODE_POINTS).mean(1)[..., 0], IN_SPACE["net1.output"])


@pytest.mark.parametrize("layers", [1, 2])
def test_the_network_with_a_frame_in_every_layer(layers: int) -> None:
    x, expected = structures(IN_SPACE), below(IN_SPACE, f"net{layers}.")
    network = FAGNN(Signature.of(x, Representation.NODE_POINTS, 1), FAGNNSettings(width=12, layers=layers)).double()
    names = names_of_layers(below(expected, "weights."))
    load(network, below(expected, "weights."), names)
    decoded: list[Tensor] = []
    network.decode.register_forward_hook(lambda _, inputs, output: decoded.append(output))
    output = network(x)[..., 0]
    close(output, expected["output"])
    places(decoded[0].unflatten(0, (len(x), 8)), expected["outputs_in_frames"])  # the same set of eight
    loss = mse_loss(output, IN_SPACE["targets"])
    close(loss, expected["loss"])
    loss.backward()
    assert_gradients(network, below(expected, "gradient.loss."), names)


def graph(name: str) -> Structure:
    adjacency = FOUND[f"sn.{name}.adjacency"].double()[None, ..., None]
    return Structure.build(torch.ones(adjacency.shape[:2], dtype=torch.bool), edge_scalars=adjacency)


@pytest.mark.parametrize("name", OTHERS)
def test_signatures_and_ranks_of_nodes(name: str) -> None:
    """Where ties are broken by u and by 1 - u, a node is before another in both orders if its rank is above, and only
    then.
    """
    x, found = graph(name), below(FOUND, f"sn.{name}.")
    hundredths = (100 * spectral_signature(x)[0]).round(), (100 * found["signature"]).round()
    assert (hundredths[0] - hundredths[1]).abs().max() <= 1  # one entry lies on the edge of the rounding
    noise, ranks = found["noise.ties"][None], found["rank_of_node"]
    one, other = (sorting_frame(x, ties).preimages[0] for ties in (noise, 1 - noise))
    before = (one[:, :, None] < one[:, None]) & (other[:, :, None] < other[:, None])
    assert torch.equal(before, (ranks[:, None] > ranks).expand_as(before))


@pytest.mark.parametrize("name", OTHERS)
def test_elements_of_the_official_sampler_are_in_the_frame(name: str) -> None:
    """Ours gives them, in the opposite direction, where ties are broken as they stand."""
    nodes = FOUND[f"sn.{name}.sampled.node_at_place"]
    noise = nodes.argsort(-1) / nodes.shape[-1]
    assert torch.equal(sorting_frame(graph(name), noise[None]).images[0], nodes.flip(-1))


@pytest.mark.parametrize("name", [*EXP, *OTHERS])
def test_the_frame_of_a_relabelled_graph_is_relabelled(name: str) -> None:
    x, found = graph(name), below(FOUND, f"sn.{name}.")
    order, noise = found["relabelling"], found["noise.ties"][None]
    copy = Structure.build(x.mask, edge_scalars=x.edge_scalars[:, order][:, :, order])
    of_copy = sorting_frame(copy, noise[..., order]).preimages
    assert torch.equal(of_copy, sorting_frame(x, noise).preimages[..., order])
