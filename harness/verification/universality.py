"""Test of theorem 2: wider symmetrized networks fit a random equivariant target better.

If f is a universal approximator, so is phi(x) = E g f(g^-1 x) among equivariant functions (Kim et al. 2023, theorem 2).
A few structures represent their orbits: students are trained on the structures, and tested on random transformations of
them. Half of the structures have stabilisers, which restrict an equivariant function most, and these have the same
colours, so that a network of the power of colour refinement cannot distinguish them.

The theorem is about the best student of each width, so students are trained until they fit, up to a large number of
steps: one that is stopped while its loss still falls would show only how fast it learns. They are trained on means over
enough elements: the squared error of a mean over k contains the variance of one element divided by k, which narrow base
models reduce least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.model import Model
from harness.training.fit import optimizer_step
from harness.training.seeds import derive, generator
from harness.verification.equivariance import mean_of_draws
from harness.verification.statistics import sign_flips
from tasks.symmetry.element import Permutation, Product, Rigid
from tasks.symmetry.groups import Group, SymmetricGroup, node_and_space
from tasks.symmetry.orthogonalization import plane_rotation
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

WIDTHS = (4, 16, 64)
ROUNDS = 2  # independent inputs, targets and initialisations
INPUTS = 4  # of each kind
GRAPH_NODES = 4  # with three nodes, all graphs that a rotation leaves unchanged are isomorphic
GEOMETRIC_NODES = 3
STEPS, CHECK_EVERY = 1800, 100
LEARNING_RATE, CLIP_NORM = 4e-3, 1.0
SAMPLES, TEST_SAMPLES = 16, 128
TEACHER_WIDTH, TEACHER_LAYERS, TEACHER_GAIN = 32, 2, 2.0
FALL = 0.75
FITTED = 0.2
SMALL_LOSS = (FITTED / 2) ** 2  # even if all of it is on one kind of inputs, these are fitted
SIGNIFICANCE = 0.01
SPREAD = 1e-6  # targets that vary less count as constant
CPU = torch.device("cpu")

Student = Callable[[int, Signature], Model]


@dataclass(frozen=True)
class Universality:
    """Root mean squared errors on transformed inputs for each base width, relative to the spread of the targets.

    Attributes:
        widths: The widths of the base model.
        plain: The errors on inputs of the task.
        stabilised: The errors on inputs with stabilisers; empty if no target varies over these.
        p_value: That of the hypothesis that the widest student is no better than the narrowest.
    """

    widths: tuple[int, ...]
    plain: tuple[float, ...]
    stabilised: tuple[float, ...]
    p_value: float

    @property
    def fits(self) -> bool:
        """Whether the error on each kind of input is small, or falls significantly and by at least a quarter."""
        kinds = [errors for errors in (self.plain, self.stabilised) if errors]
        if all(errors[-1] < FITTED for errors in kinds):
            return True
        falls = all(errors[-1] < max(FITTED, FALL * errors[0]) for errors in kinds)
        return falls and self.p_value < SIGNIFICANCE


class Examples(NamedTuple):
    """Inputs and the values of an equivariant function: first ``plain`` inputs, then those with stabilisers."""

    inputs: Structure
    targets: Tensor
    plain: int


def universality(student: Student, x: Structure, group: Group, signature: Signature) -> Universality:
    """Measures how well students of several widths fit random targets that are equivariant under ``group``.

    Args:
        student: Returns a new model of a width for a signature.
        x: Structures of the task, in float64 on the CPU, from which the inputs are made.
        group: The symmetry of the targets.
        signature: That of ``x``.
    """
    plain, stabilised = [], []
    for turn in range(ROUNDS):
        found = examples(x, group, signature, generator(CPU, turn, "universality"))
        inputs = found.inputs
        shapes = replace(signature, nodes=inputs.nodes, padded=not bool(inputs.mask.all()))
        rows = []
        for width in WIDTHS:
            torch.manual_seed(derive(turn, "student"))
            rows.append(errors_of(student(width, shapes).float(), found, group, signature.output, turn))
        plain.append(torch.stack(rows)[:, : found.plain])
        stabilised.append(torch.stack(rows)[:, found.plain :])
    kinds = [torch.cat(errors, 1) for errors in (plain, stabilised)]  # [widths, rounds * inputs]
    falls = torch.cat([errors[0] - errors[-1] for errors in kinds])
    first, second = (tuple(errors.mean(1).sqrt().tolist()) if errors.numel() else () for errors in kinds)
    return Universality(WIDTHS, first, second, sign_flips(falls[:, None]))


def errors_of(model: Model, found: Examples, group: Group, output: Representation, turn: int) -> Tensor:
    """Trains a float32 ``model`` on the inputs and returns ``[B]``: its squared errors on transformed inputs."""
    noise = generator(CPU, turn, "training")
    weight = weights_of(found.inputs, found.targets, output).float()
    train(model, found, weight, noise)
    g = group.random(found.inputs, 1, generator(CPU, turn, "move"))
    moved = found.inputs.acted(g).to(CPU, torch.float32)
    expected = g.act(found.targets[:, None], output)[:, 0].float()
    with torch.no_grad():
        value = mean_of_draws(model.eval(), moved, TEST_SAMPLES, noise)
    return len(moved) * (weight * (value - expected).square()).flatten(1).sum(1)


def train(model: Model, found: Examples, weight: Tensor, noise: torch.Generator) -> None:
    """Trains a float32 ``model`` on examples with these weights until it fits, for at most :data:`STEPS` steps."""
    x, targets = found.inputs.to(CPU, torch.float32), found.targets.float()
    copies = 1 if model.fixed_samples is None or model.deterministic else SAMPLES
    many = torch.arange(len(x)).repeat(copies)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS // CHECK_EVERY):
        total = 0.0
        for _ in range(CHECK_EVERY):
            prediction = model(x[many], SAMPLES, noise)
            loss = (weight[many] * (prediction.value - targets[many]).square()).sum() / copies
            optimizer_step(optimizer, prediction.objective(loss), model.parameters(), CLIP_NORM)
            schedule.step()
            total += loss.item()
        if total < CHECK_EVERY * SMALL_LOSS:
            return


def weights_of(x: Structure, targets: Tensor, output: Representation) -> Tensor:
    """Returns equal weights that sum to 1 for the entries of ``targets`` of existing nodes, and 0 for padding."""
    exists = {
        Representation.GRAPH_SCALARS: x.mask.any(1)[:, None],
        Representation.NODE_SCALARS: x.mask[..., None],
        Representation.NODE_POINTS: x.mask[..., None, None],
        Representation.NODE_VECTORS: x.mask[..., None, None],
        Representation.EDGE_SCALARS: x.pair_mask[..., None],
    }[output]
    weight = exists.expand_as(targets).to(targets)
    return weight / weight.flatten(1).sum(1).reshape(-1, *[1] * (weight.dim() - 1)) / len(x)


def examples(x: Structure, group: Group, signature: Signature, noise: torch.Generator) -> Examples:
    """Returns a few small structures like ``x`` with random targets, and as many with stabilisers if possible.

    Raises:
        ValueError: The target does not vary over the structures without stabilisers.
    """
    small = neighbourhoods(x, GEOMETRIC_NODES if signature.geometry else GRAPH_NODES, noise)
    some = small[torch.randperm(len(small), generator=noise)[:INPUTS]]
    inputs = scaled(Structure.cat([some, turned_means(small, noise)]))
    raw = teacher(inputs, group, signature, noise)
    exists = weights_of(inputs, raw, signature.output) > 0
    kinds = (slice(0, len(some)), slice(len(some), None))
    plain, stabilised = (standardised(raw[kind], exists[kind], signature.output) for kind in kinds)
    if not len(plain):
        raise ValueError("all these inputs are equivalent, so that every target is constant")
    targets = torch.cat([plain, stabilised])
    if signature.output is Representation.NODE_POINTS:
        targets = inputs.points[: len(targets), ..., :1] + targets
    return Examples(inputs[: len(targets)], targets, len(some))


def turned_means(x: Structure, noise: torch.Generator) -> Structure:
    """Returns means over a cyclic group of one structure with randomly permuted nodes: of that whose means vary most.

    They differ from each other, but all nodes of all of them have the same degree and scalars.
    """
    many = x[torch.arange(len(x)).repeat_interleave(INPUTS)]
    means = turned_mean(many.acted(SymmetricGroup().random(many, 1, noise)))
    edges = means.edge_scalars.unflatten(0, (len(x), INPUTS))
    spread = (edges - edges.mean(1, keepdim=True)).square().flatten(1).sum(1)
    first = int(spread.argmax()) * INPUTS
    return means[first : first + INPUTS]


def standardised(values: Tensor, exists: Tensor, output: Representation) -> Tensor:
    """Returns ``values`` with mean 0 and variance 1 in each channel over existing entries; none if they are constant.

    Coordinates keep their mean, which is a direction, and have mean square 1 for each structure.
    """
    axes = tuple(range(1 if output.is_geometric else 0, values.dim() - 1))
    count = exists.sum(axes, keepdim=True)
    if not output.is_geometric:
        values = (values - (values * exists).sum(axes, keepdim=True) / count) * exists
    size = (values.square().sum(axes, keepdim=True) / count).sqrt()
    return values / size if size.min() > SPREAD else values[:0]


def neighbourhoods(x: Structure, nodes: int, noise: torch.Generator) -> Structure:
    """Returns for each structure a random node and the nearest nodes along edges, up to ``nodes`` in all.

    Structures without edges keep their first nodes.
    """
    start = (torch.rand(x.mask.shape, generator=noise) * x.mask).argmax(1)
    reached = torch.nn.functional.one_hot(start, x.nodes).to(x.edge_scalars)
    linked = (x.edge_scalars != 0).any(-1).to(reached)
    nearness = x.mask.to(reached)
    for _ in range(nodes):
        nearness = nearness + reached
        reached = ((linked @ reached[..., None]).squeeze(-1) + reached > 0).to(reached)
    order = nearness.argsort(dim=1, descending=True, stable=True)
    x = x.acted(Permutation.from_images(order[:, None]).inverse())
    n = min(nodes, x.nodes)
    fields = (x.node_scalars[:, :n], x.points[:, :n], x.vectors[:, :n], x.edge_scalars[:, :n, :n])
    return Structure(x.key, x.mask[:, :n], *fields, x.ranks[:, :n, :0])


def turned_mean(x: Structure) -> Structure:
    """Returns the mean of each structure over the cyclic group that shifts its nodes by one and rotates space.

    Space is rotated about the centroid in the last two coordinates by a full turn in all. The group stabilises the
    mean: in space its nodes form a regular polygon.
    """
    counts = x.node_counts[:, None, None]
    place, step = torch.arange(x.nodes), torch.arange(x.nodes)[:, None]
    g = Product((Permutation.from_images(torch.where(place < counts, (place + step) % counts, place)), turns(x)))
    moved = x.acted(g)
    weight = ((step < counts).to(x.edge_scalars) / counts).squeeze(-1)  # [B, N]: one for each element of the group

    def mean(values: Tensor) -> Tensor:
        each = values.unflatten(0, (len(x), x.nodes))
        return torch.einsum("bk,bk...->b...", weight, each)

    return replace(
        x.unprepared(),
        node_scalars=mean(moved.node_scalars),
        points=mean(moved.points),
        vectors=mean(moved.vectors),
        edge_scalars=mean(moved.edge_scalars),
    )


def turns(x: Structure) -> Rigid:
    """Returns ``[B, N]``: rotations about the centroid by 0, 1, 2, ... times the full turn over the number of nodes."""
    dimension = x.points.shape[2]
    angle = 2 * math.pi * torch.arange(x.nodes).to(x.points) / x.node_counts[:, None]
    matrix = torch.eye(dimension, dtype=x.points.dtype).repeat(len(x), x.nodes, 1, 1)
    if dimension > 1:
        matrix[..., -2:, -2:] = plane_rotation(angle)
    centroid = x.centroid[:, None]
    return Rigid(matrix, centroid - (matrix @ centroid[..., None]).squeeze(-1))


def scaled(x: Structure) -> Structure:
    """Returns ``x`` with mean square 1 in each channel: of scalars, of points about their centroids, of vectors."""

    def size(values: Tensor) -> Tensor:
        root = values.square().flatten(0, -2).mean(0).sqrt()
        return torch.where(root > 0, root, 1.0)

    lengths = size(x.geometry)
    return Structure(
        x.key,
        x.mask,
        x.node_scalars / size(x.node_scalars),
        x.points / lengths[: x.points.shape[-1]],
        x.vectors / lengths[x.points.shape[-1] :],
        x.edge_scalars / size(x.edge_scalars),
        x.ranks[..., :0],
    )


def teacher(x: Structure, group: Group, signature: Signature, noise: torch.Generator) -> Tensor:
    """Returns values of a random function with the ``signature``'s output, equivariant under S_n, O(d) and ``group``.

    It computes h <- tanh([h, h^T, (h A)(h B)] W) on pairs of nodes, which is more powerful than colour refinement
    (Maron et al. 2019). In the rest frame its inputs are the inner products of vectors, and its outputs are
    combinations of the vectors, as for any equivariant function (Villar et al. 2021). Output points are relative to the
    input's.
    """
    _, space = node_and_space(group)
    rest = space.rest_frame(x) if space else None
    geometry = (x if rest is None else x.acted(rest.inverse())).geometry
    shape = (*x.mask.shape, x.nodes)
    h = torch.cat(
        [
            x.edge_scalars,
            x.node_scalars[:, :, None].expand(*shape, -1),
            x.node_scalars[:, None].expand(*shape, -1),
            torch.einsum("bidp,bjdq->bijpq", geometry, geometry).flatten(3),
            torch.eye(x.nodes, dtype=geometry.dtype).expand(shape)[..., None],
        ],
        -1,
    )
    pairs = x.pair_mask

    def linear(values: Tensor, channels: int) -> Tensor:
        weight = torch.randn(values.shape[-1], channels, generator=noise, dtype=values.dtype)
        return values @ (weight / math.sqrt(values.shape[-1]))

    def normalised(values: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(values[pairs], 0)
        return (values - mean) / torch.where(deviation > SPREAD, deviation, 1.0) * pairs[..., None]

    h = normalised(h)
    for _ in range(TEACHER_LAYERS):
        first, second = normalised(linear(h, TEACHER_WIDTH)), normalised(linear(h, TEACHER_WIDTH))
        product = normalised(torch.einsum("bikc,bkjc->bijc", first, second))
        mixed = linear(torch.cat([h, h.transpose(1, 2), product], -1), TEACHER_WIDTH)
        h = (TEACHER_GAIN * normalised(mixed)).tanh() * pairs[..., None]
    if signature.output.is_geometric:
        moved = torch.einsum("bijp,bjdp->bid", linear(h, geometry.shape[-1]), geometry)[..., None]
        return moved if rest is None else rest.act(moved[:, None], Representation.NODE_VECTORS)[:, 0]
    out = linear(h + h.transpose(1, 2), signature.output_channels)
    sums = {Representation.EDGE_SCALARS: out, Representation.NODE_SCALARS: out.sum(2)}
    return sums.get(signature.output, out.sum((1, 2)))
