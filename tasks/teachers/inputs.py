"""Random inputs for teachers, some of which are fixed by a group element other than the identity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from typing import Any, TypeVar

import torch
from torch import Tensor

from tasks.graphs import type_and_degree
from tasks.symmetry.element import Element, Permutation, Product
from tasks.symmetry.groups import (
    AffineGroup,
    EuclideanGroup,
    GeometricGroup,
    Group,
    LorentzGroup,
    OrthogonalGroup,
    PlaneGroup,
    SequenceGroup,
    SimilarityGroup,
    TrivialGroup,
    UnitaryGroup,
    factors,
    node_and_space,
)
from tasks.symmetry.noise import Generator
from tasks.symmetry.orthogonalization import plane_rotation
from tasks.symmetry.structure import Structure

AnyElement = TypeVar("AnyElement", bound=Element)
DEGREE = 4.0  # the mean number of edges of a node in graphs that are not small


def random_graphs(group: Group, count: int, nodes: int, stabilised: float, generator: Generator) -> Structure:
    """Random graphs in float64, whose node scalars are a type (0 or 1) and the degree.

    A node has :data:`DEGREE` neighbours on average, or half of the other nodes if these are fewer.

    Args:
        group: The symmetry group.
        count: Number of graphs.
        nodes: Number of nodes of each graph.
        stabilised: Probability that a graph is fixed by an element of the group other than the identity.
        generator: The source of random numbers.
    """
    likely = min(0.5, DEGREE / (nodes - 1))
    types = torch.randint(2, (count, nodes), generator=generator).double()
    edges = (torch.rand(count, nodes, nodes, generator=generator) < likely).double().triu(1)
    mask = torch.ones(count, nodes, dtype=torch.bool)
    x = type_and_degree(mask, types, edges + edges.mT)
    some = _some_symmetric(group, x, stabilised, generator)
    return type_and_degree(mask, some.node_scalars[..., 0], some.adjacency)


def random_points(
    group: Group, space: GeometricGroup, count: int, nodes: int, stabilised: float, generator: Generator
) -> Structure:
    """Random structures in float64, with a point and a vector for each node and edge scalars 1 or -1.

    Coordinates are standard normal. In space-time the vectors are momenta of particles of mass 1.

    Args:
        group: The symmetry group.
        space: The factor of the group that acts on space.
        count: Number of structures.
        nodes: Number of nodes of each structure.
        stabilised: Probability that a structure is fixed by an element of the group other than the identity.
        generator: The source of random numbers.
    """
    shape = (count, nodes, space.dimension, 1)
    points, vectors = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    if isinstance(space, LorentzGroup):
        vectors[:, :, :1] = (1 + vectors[:, :, 1:].square().sum(2, keepdim=True)).sqrt()
    signs = (torch.randint(2, (count, nodes, nodes), generator=generator).double() * 2 - 1).triu(1)
    mask = torch.ones(count, nodes, dtype=torch.bool)
    x = Structure.build(mask, points=points, vectors=vectors, edge_scalars=(signs + signs.mT)[..., None])
    return _some_symmetric(group, x, stabilised, generator)


def _some_symmetric(group: Group, x: Structure, fraction: float, generator: Generator) -> Structure:
    chosen = torch.rand(len(x), generator=generator) < fraction
    if not chosen.any():
        return x
    y = symmetric(x, *stabiliser(group, x, generator))
    places = torch.arange(len(x))
    return Structure.cat([x, y])[torch.where(chosen, len(x) + places, places)]


def symmetric(x: Structure, element: Element, order: int) -> Structure:
    """Structures similar to ``x`` that ``element`` g, with g^order = e, fixes.

    Coordinates are means over the powers of g. Scalars are those of the first node or pair of each orbit.
    """
    moved = [x.acted(power) for power in _powers(element, order)]
    points = torch.stack([y.points for y in moved]).mean(0)
    y = replace(x, points=points, vectors=torch.stack([y.vectors for y in moved]).mean(0))
    permutation = next((part for part in _each_factor(element) if isinstance(part, Permutation)), None)
    if permutation is None:
        return y
    node, pair = _first_of_orbits(permutation, order)
    scalars = x.node_scalars.gather(1, node[..., None].expand_as(x.node_scalars))
    edges = x.edge_scalars.flatten(1, 2)
    edges = edges.gather(1, pair[..., None].expand_as(edges))
    return replace(y, node_scalars=scalars, edge_scalars=edges.view_as(x.edge_scalars))


def stabiliser(group: Group, x: Structure, generator: Generator) -> tuple[Element, int]:
    """A random conjugate of a fixed element of prime order for each structure, and that order."""
    permuting, space = node_and_space(group)
    order = _prime(permuting, space, x.nodes)
    fixed = tuple(_fixed(factor, order, x) for factor in factors(group))
    element = Product(fixed) if len(fixed) > 1 else fixed[0]
    random = group.random(x, 1, generator)
    return random.compose(element).compose(random.inverse()), order


def _fixed(factor: Group, order: int, x: Structure) -> Element:
    identity: Any = factor.identity(x)
    if isinstance(factor, GeometricGroup):
        return replace(identity, matrix=_turn(factor, order).expand(len(x), 1, -1, -1))
    return Permutation.from_images(_cycles(factor, order, x.nodes).expand(len(x), 1, -1))


def check_stabilisers(group: Group, nodes: int) -> None:
    """Checks that a group has stabilisers of inputs for which a teacher has targets other than constants.

    Raises:
        ValueError: It has none on this number of nodes.
    """
    permuting, space = node_and_space(group)
    order = _prime(permuting, space, nodes)
    if not torch.equal(_cycles(permuting, order, nodes), torch.arange(nodes)):
        return
    turn = torch.ones(1, 1) if space is None else _turn(space, order)
    kept = torch.stack([torch.linalg.matrix_power(turn, power) for power in range(order)]).mean(0)
    if torch.allclose(kept, torch.eye(len(kept), dtype=kept.dtype)):
        raise ValueError(f"{group.name} has only one element on {nodes} nodes: set stabilised to 0")
    if kept.abs().max() < 0.1:
        raise ValueError(f"{group.name} fixes only the origin: set stabilised to 0, or add the factor S_n")
    if isinstance(space, AffineGroup):
        raise ValueError(
            f"a set that an element of {group.name} fixes is in a hyperplane, where no target is equivariant: "
            "set stabilised to 0, or add the factor S_n"
        )


def _prime(permuting: Group | None, space: GeometricGroup | None, nodes: int) -> int:
    """The prime order of the elements that fix structures."""
    if isinstance(space, PlaneGroup) and not space.reflections:
        return _smallest_factor(space.order)
    if space is None and isinstance(permuting, SequenceGroup) and not permuting.reversals:
        return _smallest_factor(nodes)
    return 2


def _smallest_factor(number: int) -> int:
    return next((k for k in range(2, math.isqrt(number) + 1) if number % k == 0), number)


def _cycles(permuting: Group | None, order: int, nodes: int) -> Tensor:
    """A permutation ``[N]`` of this prime order in the group, or the identity if there is none."""
    places = torch.arange(nodes)
    if permuting is None or isinstance(permuting, TrivialGroup) or order == 1:
        return places
    if isinstance(permuting, SequenceGroup):
        if nodes % order == 0:
            return (places + nodes // order) % nodes
        return -places % nodes if permuting.reversals and order == 2 else places
    cycles = max(1, nodes // (2 * order)) if nodes >= order else 0  # on half of the nodes, or one cycle
    moved = places[: cycles * order].view(cycles, order).roll(-1, 1).flatten()
    return torch.cat([moved, places[cycles * order :]])


def _turn(space: GeometricGroup, order: int) -> Tensor:
    """A matrix ``[D, D]`` of this prime order in the compact part of the group, or the identity if there is none."""
    if order == 1:
        return torch.eye(space.dimension, dtype=torch.float64)
    if isinstance(space, PlaneGroup) and not space.reflections:
        return plane_rotation(torch.tensor(2 * math.pi / order, dtype=torch.float64))
    signs = torch.ones(space.dimension, dtype=torch.float64)
    match space:
        case LorentzGroup():
            signs[1:3] = -1
        case PlaneGroup():
            signs[1] = -1
        case UnitaryGroup():
            _flip(signs.view(2, -1), space.special)
        case OrthogonalGroup() | EuclideanGroup() | SimilarityGroup():
            _flip(signs, space.special)
        case _:
            _flip(signs, False)
    return torch.diag(signs)


def _flip(signs: Tensor, special: bool) -> None:
    """Flips one sign, or two to preserve orientation, if there are enough coordinates."""
    flipped = 2 if special else 1
    if signs.shape[-1] >= flipped:
        signs[..., :flipped] = -1


def _each_factor(element: Element) -> tuple[Element, ...]:
    return element.factors if isinstance(element, Product) else (element,)


def _powers(element: AnyElement, order: int) -> Iterator[AnyElement]:
    """g, g^2, ... up to g^order = e."""
    power = element
    for _ in range(order):
        yield power
        power = element.compose(power)


def _first_of_orbits(element: Permutation, order: int) -> tuple[Tensor, Tensor]:
    """The first node ``[B, N]`` and pair ``[B, N * N]`` in the orbit of each node and pair under powers of g.

    A pair and its reverse have the same orbit.
    """
    images = [power.images[:, 0] for power in _powers(element, order)]
    ends = ((image[:, :, None], image[:, None]) for image in images)
    nodes = element.images.shape[-1]
    pairs = (torch.minimum(a, b) * nodes + torch.maximum(a, b) for a, b in ends)
    return reduce(torch.minimum, images), reduce(torch.minimum, pairs).flatten(1)
