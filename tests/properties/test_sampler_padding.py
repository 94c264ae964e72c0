"""Absent nodes show nowhere: every sampler on every group, by every scorer, in evaluation and in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from baselines.build import build_sampler
from baselines.catalogue import SAMPLERS
from baselines.samplers.sampler import Sample, Sampler
from tasks.symmetry.element import Element, Permutation, Product
from tasks.symmetry.groups import GeometricGroup, group, node_and_space
from tasks.symmetry.noise import Noise
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure
from tests.properties.test_samplers_on_groups import SYMMETRIES
from tests.structures import random_graphs, random_momenta, random_particles

CARDS = {card.name: card for card in SAMPLERS}
SIZES, PADDED = (5, 3), 9  # wider than any dimension, by which a test tells nodes from coordinates
SCORERS = ("gin", "deepsets", "transformer")


def space_of(names: tuple[str, ...]) -> GeometricGroup | None:
    return node_and_space(group(names))[1]


def inputs(names: tuple[str, ...], nodes: int, edges: bool = True) -> Structure:
    """Two structures of so many nodes that the group acts on; of graphs, no two nodes are alike."""
    space = space_of(names)
    if space is None:
        x = random_graphs(2, nodes, seed=nodes, padded=False)
        scalars = torch.rand(x.node_scalars.shape, generator=torch.Generator().manual_seed(nodes), dtype=torch.float64)
        return Structure.build(x.mask, node_scalars=scalars, edge_scalars=x.edge_scalars)
    momenta = space.name == "SO+(1,3)"
    x = random_momenta(2, nodes, nodes) if momenta else random_particles(2, nodes, nodes, dimension=space.dimension)
    return x if edges else Structure.build(x.mask, points=x.points, vectors=x.vectors)


def sampler(kind: str, names: tuple[str, ...], x: Structure, **params: Any) -> Sampler | None:
    """The same weights whatever the padding of ``x``; ``None`` where the pair is refused."""
    torch.manual_seed(0)
    signature = Signature.of(x, Representation.GRAPH_SCALARS, 1)
    card = CARDS[kind]
    size = {"width": 16} if "width" in card.params else {}
    try:
        built = build_sampler(card, group(names), signature, {**size, **params})
    except ValueError:
        return None
    return built.double().eval()


def cut(noise: Noise, structures: slice, nodes: int) -> Noise:
    """The noise of some structures without that of absent nodes."""
    own = (part[structures] for part in noise)
    return tuple(part[:, :, :nodes] if part.dim() > 2 and part.shape[2] == PADDED else part for part in own)


def tensors(element: Element, nodes: int) -> list[torch.Tensor]:
    """What ``element`` is on the first ``nodes``; the others stay among themselves."""
    if isinstance(element, Product):
        return [part for factor in element.factors for part in tensors(factor, nodes)]
    if isinstance(element, Permutation):
        assert (element.images[..., nodes:] >= nodes).all()
        return [element.images[..., :nodes], element.preimages[..., :nodes]]
    return [value for value in vars(element).values() if isinstance(value, torch.Tensor)]


def assert_same(found: Sample, expected: Sample, structures: slice, nodes: int) -> None:
    """Elements one by one; where some have no weight, those that have."""
    kept = torch.ones(2, found.element.samples, dtype=torch.bool)
    if found.weight is not None:
        kept = found.weight[structures] > 0
        assert (found.weight[structures][kept] == found.weight[structures].max()).all()
    assert expected.weight is None
    for one, other in zip(tensors(found.element[structures], nodes), tensors(expected.element, nodes), strict=True):
        one = one.expand(-1, found.element.samples, *one.shape[2:])[kept].unflatten(0, (2, -1))
        torch.testing.assert_close(one, other.expand_as(one), atol=1e-9, rtol=0)


def compare(kind: str, names: tuple[str, ...], edges: bool = True, **params: Any) -> bool:
    """A batch of two sizes, padded, against each size alone; whether the pair is not refused."""
    alone = [inputs(names, nodes, edges) for nodes in SIZES]
    batch = Structure.cat([x.padded(PADDED) for x in alone])
    wide = sampler(kind, names, batch, **params)
    if wide is None:
        return False
    noise = wide.noise(batch, 3, torch.Generator().manual_seed(1))
    found = wide(batch, noise)
    for place, (x, nodes) in enumerate(zip(alone, SIZES, strict=True)):
        narrow, own = sampler(kind, names, x, **params), slice(2 * place, 2 * place + 2)
        assert narrow is not None
        enumerates = narrow.fixed_samples != wide.fixed_samples  # as many elements as a sequence is long
        drawn = narrow.noise(x, 3, torch.Generator().manual_seed(1)) if enumerates else cut(noise, own, nodes)
        assert_same(found, narrow(x, drawn), own, nodes)
    return True


@pytest.mark.parametrize("kind", CARDS)
@pytest.mark.parametrize("names", SYMMETRIES, ids=" x ".join)
def test_elements_are_those_of_each_structure_alone(kind: str, names: tuple[str, ...]) -> None:
    """Of a frame all elements and some; with edges and, where these are read, without."""
    exact: list[dict[str, Any]] = [{}, {"exact": False}] if kind == "fa" else [{}]
    edges = (True, False) if "fa" in kind and space_of(names) else (True,)
    built = [compare(kind, names, some, **params) for params in exact for some in edges]
    assert any(built) or kind in ("fa", "mfa", "ga")


@pytest.mark.parametrize("q", SCORERS)
@pytest.mark.parametrize("name", ["S_n", "C_n", "D_n"])
def test_every_scorer_on_every_group_of_nodes(q: str, name: str) -> None:
    assert compare("ps", (name,), q=q)
    assert compare("canonical", (name,), q=q)


TRAINED: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    *(((name,), {"q": q}) for name in ("S_n", "C_n", "D_n") for q in SCORERS),
    *((names, {"dropout": 0.0}) for names in [("S_n", "E(3)"), ("D_n", "Sim(3)"), ("C_5",), ("S_n", "B_2"), ("U(2)",)]),
]


@pytest.mark.parametrize(("names", "params"), TRAINED)
def test_penalties_and_gradients_do_not_depend_on_padding(names: tuple[str, ...], params: dict[str, Any]) -> None:
    """The entropy of what is soft, a mean over the nodes that exist, and what it and the elements send back to q."""
    nodes = SIZES[0]
    alone = inputs(names, nodes)
    wide = sampler("ps", names, alone.padded(PADDED), **params)
    narrow = sampler("ps", names, alone, **params)
    assert wide is not None and narrow is not None
    noise = wide.noise(alone.padded(PADDED), 3, torch.Generator().manual_seed(1))
    found = []
    for x, built, drawn in ((alone, narrow, cut(noise, slice(None), nodes)), (alone.padded(PADDED), wide, noise)):
        sample = built.train()(x, drawn)
        moved = x.acted(sample.element.inverse())
        seen = [moved.node_scalars, moved.points.flatten(2), moved.vectors.flatten(2), moved.edge_scalars[:, :, :nodes]]
        values = torch.cat([part[:, :nodes].flatten(1) for part in seen], 1)
        weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        penalty = values.new_zeros(()) if sample.penalty is None else sample.penalty
        ((weights * values).sum() + penalty).backward()
        found.append([penalty, values, *(p.grad for p in built.parameters() if p.grad is not None)])
    assert len(found[0]) == len(found[1]) > 6
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=1e-7)
