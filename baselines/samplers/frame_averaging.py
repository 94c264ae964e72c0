"""Frame averaging: uniform on a finite set of elements that moves with the input (Puny et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from baselines.catalogue.samplers import FrameSettings
from baselines.limits import MOST_AXES, MOST_ELEMENTS
from baselines.samplers.coverage import uncovered_by_frames
from baselines.samplers.graph_ranks import EIGENVALUE_TOLERANCE, lexicographic_ranks, ranked, ranks_of
from baselines.samplers.sampler import Sample, Sampler
from tasks.cards import Input
from tasks.ragged import Stored
from tasks.symmetry.eigen import eigenbasis
from tasks.symmetry.element import Element, LinearMap, Permutation, Product
from tasks.symmetry.gathering import inverse_of
from tasks.symmetry.groups import (
    AffineGroup,
    EuclideanGroup,
    FiniteGroup,
    GeometricGroup,
    Group,
    OrthogonalGroup,
    SequenceGroup,
    SimilarityGroup,
    SymmetricGroup,
    factors,
)
from tasks.symmetry.noise import Generator, Noise, normal, uniform
from tasks.symmetry.orthogonalization import gram_schmidt
from tasks.symmetry.structure import Signature, Structure

PLACE_TOLERANCE = 1e-4  # of the largest number that nodes are sorted by
CENTRING_ROUNDING = 64  # in units of the last place of the points

WithAxes = OrthogonalGroup | EuclideanGroup | SimilarityGroup | AffineGroup


class FrameAveraging(Sampler):
    """Elements of an equivariant frame.

    O, SO, E, SE, Sim and SSim: the principal axes of the points with every choice of signs, 2^d and, without
    reflections, half of them. Aff: the same at rest, where second moments say nothing: axes of the fourth moments.
    C_n, D_n, C_m, D_m, B_d: the whole group, which is finite.
    S_n: the orders that sort the nodes by their spectral signature, ties drawn uniformly; where there are no edges, the
    orders that sort them by their coordinates as the frame of space shows them.
    (The authors' code sorts in ascending order. It counts how often an eigenvalue occurs by comparing float32 numbers
    exactly, and is not equivariant where some occur more than once, as in all graphs of EXP.)
    All elements where ``exact`` (then the sampler brings its own number of samples; of a product, the product of
    those), else drawn uniformly. Weights leave out what a padded sequence does not have.

    Degenerate points have no finite equivariant frame: any basis of an eigenspace does. Where eigenvalues of the
    covariance agree within 1e-4 of the largest, the basis of their eigenspace is drawn from Haar measure (one for all
    the signs where ``exact``), so that the law still moves with the input. That is so for symmetric points; for fewer
    points than dimensions, whose axes off their span are drawn (and an exact frame stays exactly equivariant as long
    as vectors lie in that span too); and for one node, or nodes in one place, where it is all of the group.

    Raises ``ValueError`` for a group without a finite frame, and where an exact frame has more than 1,024 elements.
    """

    uncovered: Callable[[Sequence[str], frozenset[Input]], str | None] = staticmethod(uncovered_by_frames)

    def __init__(self, group: Group, signature: Signature, settings: FrameSettings) -> None:
        super().__init__(group, signature)
        parts = factors(group)
        if reason := self.uncovered([factor.name for factor in parts], _inputs(signature)):
            raise ValueError(reason)
        if wide := [factor.name for factor in parts if isinstance(factor, WithAxes) and factor.dimension > MOST_AXES]:
            raise ValueError(
                f"a frame chooses signs of at most {MOST_AXES} axes, and {wide[0]} has more: use group averaging, "
                "canonicalization or probabilistic symmetrization"
            )
        self.choices = [self._choices(factor, signature) for factor in parts]
        self.exact = settings.exact and any(not isinstance(factor, SymmetricGroup) for factor in parts)
        if self.exact:
            self.fixed_samples = math.prod(self.choices)
            if self.fixed_samples > MOST_ELEMENTS:
                raise ValueError(
                    f"an exact frame of {group.name} has {self.fixed_samples:,} elements here, and at most "
                    f"{MOST_ELEMENTS:,} are taken: set exact to false, which draws them"
                )
        self.sorts_by_edges = signature.edge_scalars > 0
        ties = self.sorts_by_edges and any(isinstance(factor, SymmetricGroup) for factor in parts)
        self.deterministic = self.exact and not ties
        self.nodes = signature.nodes
        self.padded = signature.padded

    def _choices(self, factor: Group, signature: Signature) -> int:
        """How many elements there are to choose from; chance chooses on S_n."""
        if isinstance(factor, SequenceGroup):
            return signature.nodes * (2 if factor.reversals else 1)
        if isinstance(factor, FiniteGroup):
            return factor.size
        return 2 ** (factor.dimension - factor.special) if isinstance(factor, WithAxes) else 1

    def prepared(self, graphs: Stored) -> Stored:
        """With the ranks of nodes that orders sort by, which depend on the graph alone."""
        orders = any(isinstance(factor, SymmetricGroup) for factor in factors(self.group))
        return ranked(graphs) if orders and self.sorts_by_edges else graphs

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        samples = self.fixed_samples or samples
        parts: list[Tensor] = []
        after = math.prod(self.choices)
        for factor, count in zip(factors(self.group), self.choices, strict=True):
            after //= count
            if isinstance(factor, SymmetricGroup):
                parts.append(uniform((len(x), samples, x.nodes), x.edge_scalars, generator))
                continue
            parts.append(self._choice(x, count, after, samples, generator))
            if isinstance(factor, WithAxes):  # one basis for all elements where these are exact
                shape = (len(x), 1 if self.exact else samples, factor.dimension, factor.dimension)
                parts.append(normal(shape, x.points, generator).expand(-1, samples, -1, -1))
        return tuple(parts)

    def _choice(self, x: Structure, count: int, after: int, samples: int, generator: Generator) -> Tensor:
        """``[B, K]``, of [0, 1): drawn, or the middles of the equal parts that stand for the elements.

        All combinations of a product's factors are counted through, one element of a factor ``after`` times in a row.
        """
        if not self.exact:
            return uniform((len(x), samples), x.edge_scalars, generator)
        digit = torch.arange(samples, device=x.mask.device) // after % count
        return ((digit + 0.5) / count).to(x.edge_scalars.dtype).expand(len(x), -1)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        parts = iter(noise)
        own = [(f, [next(parts) for _ in range(2 if isinstance(f, WithAxes) else 1)]) for f in factors(self.group)]
        space = next((self._in_space(x, f, *drawn) for f, drawn in own if isinstance(f, GeometricGroup)), None)
        elements: list[Element] = []
        weight = None
        for factor, drawn in own:
            if isinstance(factor, SequenceGroup):
                element, weight = self._along_sequence(x, factor, *drawn)
                elements.append(element)
            elif isinstance(factor, SymmetricGroup):
                if space is None or self.sorts_by_edges:
                    elements.append(self._order(x, *drawn))
                else:
                    elements.append(order_in_pose(x, space, *drawn))
            elif space is not None:
                elements.append(space)
        return Sample(elements[0] if len(elements) == 1 else Product(tuple(elements)), weight)

    def _in_space(self, x: Structure, group: GeometricGroup, choice: Tensor, basis: Tensor | None = None) -> Element:
        if isinstance(group, FiniteGroup):
            return group.from_rest(x, LinearMap(group.matrices(x.points)[(choice * group.size).long()]))
        assert isinstance(group, WithAxes) and basis is not None
        return group.from_rest(x, LinearMap(self._signed(x, group, principal_axes(x, group, basis), choice)))

    def _along_sequence(self, x: Structure, group: SequenceGroup, choice: Tensor) -> tuple[Permutation, Tensor | None]:
        """Counted by where elements start, then by direction; in an exact frame of n - 1 nodes one start is missing."""
        length = torch.full_like(x.node_counts, self.nodes) if self.exact else x.node_counts
        index = (choice * (2 if group.reversals else 1) * length[:, None]).long()[..., None]
        start, step = index % length[:, None, None], 1 - 2 * (index // length[:, None, None])
        element = group.element(x, start, step)
        exists = (start < x.node_counts[:, None, None]).squeeze(-1)
        return element, exists.to(choice.dtype) if self.exact and self.padded else None

    def _order(self, x: Structure, noise: Tensor) -> Permutation:
        return sorting_frame(x, noise)

    def _signed(self, x: Structure, group: WithAxes, axes: Tensor, choice: Tensor) -> Tensor:
        """The axes ``[B, K, D, D]`` with the signs that ``choice`` ``[B, K]``, from [0, 1), stands for."""
        if group.special:
            axes = torch.cat([axes[..., :1] * torch.linalg.det(axes).sign()[..., None, None], axes[..., 1:]], -1)
        return axes * chosen_signs(choice, group.dimension, group.special)[..., None, :]


def _inputs(signature: Signature) -> frozenset[Input]:
    channels: Mapping[Input, int] = {
        "points": signature.points, "vectors": signature.vectors, "edges": signature.edge_scalars,
    }  # fmt: skip
    return frozenset(kind for kind, count in channels.items() if count)


def chosen_signs(choice: Tensor, axes: int, special: bool = False) -> Tensor:
    """``[B, K, D]``: the signs of D axes that each number of [0, 1) stands for, all choices in equal parts.

    The first axis divides the numbers in two, the next each half, and so on; where ``special`` the last sign is what
    makes their product 1.
    """
    free = axes - special
    index = (choice * 2**free).long()[..., None]
    signs = (1 - 2 * (index >> torch.arange(free - 1, -1, -1, device=choice.device) & 1)).to(choice.dtype)
    return torch.cat([signs, signs.prod(-1, keepdim=True)], -1) if special else signs


def framed_geometry(x: Structure, group: WithAxes) -> Tensor:
    """``[B, N, D, P + V]``: the geometry at rest, where the group has translations, else as it is about the origin.

    Points are zero where all that is left of them is the rounding of the centroid.
    """
    if isinstance(group, AffineGroup):
        return group.geometry_at_rest(x)
    if isinstance(group, OrthogonalGroup):
        return torch.cat([x.points, x.vectors], -1)
    points = x.geometry[..., : x.points.shape[-1]]  # their scale changes no axes
    rounding = (CENTRING_ROUNDING * torch.finfo(points.dtype).eps) ** 2 * x.points.square().sum((1, 2, 3), keepdim=True)
    return torch.cat([points * (points.square().sum((1, 2, 3), keepdim=True) > rounding), x.vectors], -1)


def scatter(x: Structure, group: WithAxes) -> Tensor:
    """``[B, D, D]``: the covariance of the points or, where there are none, of the vectors.

    For Aff(d), where at rest that of the geometry is the identity: sum |z|^2 z z^T over all of it (Cardoso 1989).
    """
    geometry = framed_geometry(x, group)
    if isinstance(group, AffineGroup):
        geometry = geometry * geometry.square().sum(2, keepdim=True).sqrt()
    elif x.points.shape[-1]:
        geometry = geometry[..., : x.points.shape[-1]]
    flat = geometry.transpose(2, 3).flatten(1, 2)  # [B, N * C, D]
    return flat.mT @ flat


def principal_axes(x: Structure, group: WithAxes, noise: Tensor) -> Tensor:
    """The eigenvectors of :func:`scatter` ``[B, K, D, D]``, columns by ascending eigenvalue.

    The basis of an eigenspace of several dimensions comes from normal ``noise`` of the same shape, by Haar measure.
    """
    values, vectors = eigenbasis(scatter(x, group))
    together = eigenspaces(values)
    alone = together.sum(-1, keepdim=True) == 1
    identity = torch.eye(values.shape[-1], dtype=values.dtype, device=values.device)
    basis = torch.where(alone[:, None], identity, noise * together[:, None])
    return vectors[:, None] @ gram_schmidt(basis)


def eigenspaces(values: Tensor) -> Tensor:
    """``[B, D, D]``: whether two eigenvalues ``[B, D]``, in ascending order, are of one eigenspace."""
    space = (values.diff(dim=-1, prepend=values[:, :1]) > EIGENVALUE_TOLERANCE * values[:, -1:]).cumsum(-1)
    return space[:, :, None] == space[:, None]


def sorting_frame(x: Structure, noise: Tensor) -> Permutation:
    """Orders of the nodes, descending by the rows of S(X), ties broken by ``noise`` ``[B, K, N]``."""
    return _ordered(x, ranks_of(x)[:, None], noise)


def order_in_pose(x: Structure, space: Element, noise: Tensor) -> Permutation:
    """Orders of the nodes by what they are where each of ``space`` is undone; ``noise`` ``[B, K, N]`` breaks ties.

    First by the first coordinate of the first point, and so on. Numbers within 1e-4 of the largest are ties.
    """
    seen = x.acted(space.inverse())
    rows = torch.cat([seen.points.mT.flatten(2), seen.vectors.mT.flatten(2), seen.node_scalars], -1)
    tolerance = PLACE_TOLERANCE * rows.abs().amax((1, 2), keepdim=True)
    ranks = lexicographic_ranks(stepped(rows, seen.mask, tolerance)).unflatten(0, (len(x), -1))
    return _ordered(x, ranks, noise)


def _ordered(x: Structure, ranks: Tensor, noise: Tensor) -> Permutation:
    """Nodes that exist in descending order of ``ranks`` ``[B, K or 1, N]``, equal ones of ``noise`` of [0, 1)."""
    scores = (ranks.to(noise.dtype) + noise).masked_fill(~x.mask[:, None], -torch.inf)
    return Permutation.from_images(scores.argsort(dim=-1, descending=True, stable=True))


def stepped(values: Tensor, mask: Tensor, tolerance: Tensor) -> Tensor:
    """``[M, N, C]`` int64: for every column its numbers' ranks, where a step up is more than ``tolerance``."""
    in_order, order = values.masked_fill(~mask[..., None], torch.inf).sort(dim=1)
    steps = (in_order.diff(dim=1, prepend=in_order[:, :1]) > tolerance).cumsum(1)
    return steps.gather(1, inverse_of(order.mT).mT)
