"""Theorem 2 as a check: symmetrized networks fit a random equivariant target the better, the wider they are.

If f is a universal approximator, so is phi(x) = E g f(g^-1 x) among equivariant functions (Kim et al. 2023, theorem 2).
A few structures stand for their orbits: students train on these as they are, and are tested on them moved by the group.
One half of the structures has stabilisers, under which an equivariant function is least free, and these all have the
same colours: what sees no more than colour refinement does cannot tell them apart.

The theorem is about the best student of each width, and one that is stopped while its loss still falls shows how fast
it learns instead. So students are trained for long, though no longer than it takes to fit, and on means of enough
elements: the squared error of a mean over k has the variance of one element over k in it, which asks for invariance of
the base model and costs a narrow one most.
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
from harness.verification.equivariance import mean_of_draws, sign_flips
from tasks.symmetry.element import Permutation, Product, Rigid
from tasks.symmetry.groups import Group, SymmetricGroup, node_and_space
from tasks.symmetry.orthogonalization import plane_rotation
from tasks.symmetry.representation import Representation
from tasks.symmetry.structure import Signature, Structure

WIDTHS = (4, 16, 64)
ROUNDS = 2  # independent inputs, targets and initialisations
INPUTS = 4  # of each kind
GRAPH_NODES = 4  # on three, all graphs that a rotation leaves as they are look alike
GEOMETRIC_NODES = 3
STEPS, STRETCH = 1800, 100  # the loss is looked at after each stretch
LEARNING_RATE, CLIP_NORM = 4e-3, 1.0
SAMPLES, TEST_SAMPLES = 16, 128
TEACHER_WIDTH, TEACHER_LAYERS, TEACHER_GAIN = 32, 2, 2.0
FALL = 0.75
FITTED = 0.2
ENOUGH = (FITTED / 2) ** 2  # a loss: were all of it on one kind of inputs, they would still be fitted
SIGNIFICANCE = 0.01
SPREAD = 1e-6  # targets that vary less do not vary
CPU = torch.device("cpu")

Student = Callable[[int, Signature], Model]


@dataclass(frozen=True)
class Universality:
    """Root mean squared errors on moved inputs at every base width, relative to the spread of the targets.

    ``plain`` are those on inputs of the task, ``stabilised`` on inputs with stabilisers (empty where these leave a
    target nothing to vary). ``p_value`` is that of the widest student being no better than the narrowest.
    """

    widths: tuple[int, ...]
    plain: tuple[float, ...]
    stabilised: tuple[float, ...]
    p_value: float

    @property
    def fits(self) -> bool:
        """The error on each kind of input is small, or falls by a quarter at least and not by chance."""
        kinds = [errors for errors in (self.plain, self.stabilised) if errors]
        if all(errors[-1] < FITTED for errors in kinds):
            return True
        falls = all(errors[-1] < max(FITTED, FALL * errors[0]) for errors in kinds)
        return falls and self.p_value < SIGNIFICANCE


class Examples(NamedTuple):
    """Inputs with the values of an equivariant function, ``plain`` ones first and those with stabilisers behind."""

    inputs: Structure
    targets: Tensor
    plain: int


def universality(student: Student, x: Structure, group: Group, signature: Signature) -> Universality:
    """How well ``student(width, signature)`` fits random targets that are equivariant under ``group``.

    The inputs are made from structures ``x`` of the task (float64, on the CPU) with ``signature``.
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
    """``[B]``: squared errors on moved inputs of a float32 ``model`` that is trained here on the inputs as they are."""
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
    """Fits a float32 ``model`` to the examples, whose entries weigh ``weight``: until it does, at most ``STEPS``."""
    x, targets = found.inputs.to(CPU, torch.float32), found.targets.float()
    copies = 1 if model.fixed_samples is None or model.deterministic else SAMPLES
    many = torch.arange(len(x)).repeat(copies)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS // STRETCH):
        total = 0.0
        for _ in range(STRETCH):
            prediction = model(x[many], SAMPLES, noise)
            loss = (weight[many] * (prediction.value - targets[many]).square()).sum() / copies
            optimizer_step(optimizer, prediction.objective(loss), model.parameters(), CLIP_NORM)
            schedule.step()
            total += loss.item()
        if total < STRETCH * ENOUGH:
            return


def weights_of(x: Structure, targets: Tensor, output: Representation) -> Tensor:
    """Equal weights that sum to 1 for the entries of ``targets`` that belong to nodes that exist, zero for others."""
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
    """A few small structures like ``x`` with random targets, and as many with stabilisers if these allow for it.

    Raises ``ValueError`` where no target varies over these structures.
    """
    small = neighbourhoods(x, GEOMETRIC_NODES if signature.geometry else GRAPH_NODES, noise)
    some = small[torch.randperm(len(small), generator=noise)[:INPUTS]]
    inputs = scaled(Structure.cat([some, turned_means(small, noise)]))
    raw = teacher(inputs, group, signature, noise)
    exists = weights_of(inputs, raw, signature.output) > 0
    kinds = (slice(0, len(some)), slice(len(some), None))
    plain, stabilised = (standardised(raw[kind], exists[kind], signature.output) for kind in kinds)
    if not len(plain):
        raise ValueError("these inputs are all alike, so no target tells them apart")
    targets = torch.cat([plain, stabilised])
    if signature.output is Representation.NODE_POINTS:
        targets = inputs.points[: len(targets), ..., :1] + targets
    return Examples(inputs[: len(targets)], targets, len(some))


def turned_means(x: Structure, noise: torch.Generator) -> Structure:
    """Means over a cyclic group of one of the structures, its nodes shuffled each time: of that whose means vary most.

    They differ from each other, but each node has the degree and the scalars of every other node in all of them.
    """
    many = x[torch.arange(len(x)).repeat_interleave(INPUTS)]
    means = turned_mean(many.acted(SymmetricGroup().random(many, 1, noise)))
    edges = means.edge_scalars.unflatten(0, (len(x), INPUTS))
    spread = (edges - edges.mean(1, keepdim=True)).square().flatten(1).sum(1)
    first = int(spread.argmax()) * INPUTS
    return means[first : first + INPUTS]


def standardised(values: Tensor, exists: Tensor, output: Representation) -> Tensor:
    """Values with mean 0 and variance 1 over all that exist in each channel; none at all where they do not vary.

    Coordinates keep their mean, which is a direction, and have mean square 1 for each structure.
    """
    axes = tuple(range(1 if output.is_geometric else 0, values.dim() - 1))
    count = exists.sum(axes, keepdim=True)
    if not output.is_geometric:
        values = (values - (values * exists).sum(axes, keepdim=True) / count) * exists
    size = (values.square().sum(axes, keepdim=True) / count).sqrt()
    return values / size if size.min() > SPREAD else values[:0]


def neighbourhoods(x: Structure, nodes: int, noise: torch.Generator) -> Structure:
    """For each structure a random node and those nearest to it along edges, ``nodes`` in all where there are so many.

    Structures without edges keep nodes by their places.
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
    """The mean of each structure over the cyclic group that moves its nodes on by one while it turns space.

    Space turns about the centroid in the last two coordinates, in one round. What comes out has this group for a
    stabiliser: in space its nodes form a regular polygon.
    """
    counts = x.node_counts[:, None, None]
    place, step = torch.arange(x.nodes), torch.arange(x.nodes)[:, None]
    g = Product((Permutation.from_images(torch.where(place < counts, (place + step) % counts, place)), turns(x)))
    moved = x.acted(g)
    weight = ((step < counts).to(x.edge_scalars) / counts).squeeze(-1)  # [B, N]: each element of the group once

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
    """``[B, N]``: turns of space about the centroid by 0, 1, 2, ... parts of a round of as many as there are nodes."""
    dimension = x.points.shape[2]
    angle = 2 * math.pi * torch.arange(x.nodes).to(x.points) / x.node_counts[:, None]
    matrix = torch.eye(dimension, dtype=x.points.dtype).repeat(len(x), x.nodes, 1, 1)
    if dimension > 1:
        matrix[..., -2:, -2:] = plane_rotation(angle)
    centroid = x.centroid[:, None]
    return Rigid(matrix, centroid - (matrix @ centroid[..., None]).squeeze(-1))


def scaled(x: Structure) -> Structure:
    """The same with mean square 1 in each channel: of scalars, of points about their centroids, of vectors."""

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
    """Values of a random function of the ``signature``'s output that is equivariant under S_n, O(d) and ``group``.

    On pairs of nodes, h <- tanh([h, h^T, (h A)(h B)] W): more than colour refinement sees (Maron et al. 2019). Seen
    from the rest frame, vectors enter by their inner products and leave as combinations of themselves, which any
    equivariant function does (Villar et al. 2021). Points are relative to the input's.
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
