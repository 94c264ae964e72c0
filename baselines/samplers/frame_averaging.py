"""Frame averaging: uniform on a finite set of elements that is equivariant in the input (Puny et al. 2022)."""

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

PLACE_TOLERANCE = 1e-4  # relative to the largest number that nodes are sorted by
CENTRING_ROUNDING = 64  # in units of the last place of the points

WithAxes = OrthogonalGroup | EuclideanGroup | SimilarityGroup | AffineGroup


class FrameAveraging(Sampler):
    """Elements of an equivariant frame.

    The frame depends on the group:

    * O, SO, E, SE, Sim and SSim: the principal axes of the points with every choice of signs, which are 2^d elements,
      or half of them without reflections.
    * Aff: as above in the rest frame, with axes of the fourth moments, since second moments are the identity there.
    * C_n, D_n, C_m, D_m and B_d: the whole group, which is finite.
    * S_n: the orders that sort the nodes by their spectral signature, with ties drawn uniformly. Without edges, the
      orders that sort the nodes by their coordinates in the frame of space. (The authors' code sorts in ascending
      order. It compares eigenvalues exactly in single precision to count their multiplicity, and is not equivariant
      for multiple eigenvalues, which all graphs of EXP have.)

    With ``exact`` the sampler returns all elements of the frame (for a product of groups, all combinations); otherwise
    it draws elements uniformly. The weights of elements that a padded sequence does not have are zero.

    Degenerate points have no finite equivariant frame, since any basis of an eigenspace is possible. If eigenvalues of
    the covariance agree within 1e-4 of the largest, a basis of their eigenspace is drawn from Haar measure (with
    ``exact``, one basis for all signs), so that the distribution is still equivariant. This applies to symmetric
    points, to fewer points than dimensions, where the axes outside their span are drawn (an exact frame stays exactly
    equivariant if the vectors are in that span too), and to one node or nodes in one place, where the whole basis is
    drawn.

    Raises:
        ValueError: The group has no finite frame, or an exact frame has more than 1,024 elements.
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
        """The number of elements to choose from; 1 for S_n, whose orders are drawn."""
        if isinstance(factor, SequenceGroup):
            return signature.nodes * (2 if factor.reversals else 1)
        if isinstance(factor, FiniteGroup):
            return factor.size
        return 2 ** (factor.dimension - factor.special) if isinstance(factor, WithAxes) else 1

    def prepared(self, graphs: Stored) -> Stored:
        """Adds the ranks that nodes are sorted by, which depend only on the graph."""
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
        """Numbers in [0, 1) ``[B, K]`` that choose elements: drawn, or the centres of ``count`` equal intervals.

        In a product the samples enumerate all combinations, with each element of this factor ``after`` times in a row.
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
        """Elements indexed by start and direction, with weight zero for starts that a structure does not have."""
        length = torch.full_like(x.node_counts, self.nodes) if self.exact else x.node_counts
        index = (choice * (2 if group.reversals else 1) * length[:, None]).long()[..., None]
        start, step = index % length[:, None, None], 1 - 2 * (index // length[:, None, None])
        element = group.element(x, start, step)
        exists = (start < x.node_counts[:, None, None]).squeeze(-1)
        return element, exists.to(choice.dtype) if self.exact and self.padded else None

    def _order(self, x: Structure, noise: Tensor) -> Permutation:
        return sorting_frame(x, noise)

    def _signed(self, x: Structure, group: WithAxes, axes: Tensor, choice: Tensor) -> Tensor:
        """The axes ``[B, K, D, D]`` with the signs that ``choice`` ``[B, K]`` in [0, 1) selects."""
        if group.special:
            axes = torch.cat([axes[..., :1] * torch.linalg.det(axes).sign()[..., None, None], axes[..., 1:]], -1)
        return axes * chosen_signs(choice, group.dimension, group.special)[..., None, :]


def _inputs(signature: Signature) -> frozenset[Input]:
    channels: Mapping[Input, int] = {
        "points": signature.points,
        "vectors": signature.vectors,
        "edges": signature.edge_scalars,
    }
    return frozenset(kind for kind, count in channels.items() if count)


def chosen_signs(choice: Tensor, axes: int, special: bool = False) -> Tensor:
    """The signs of axes that numbers in [0, 1) select.

    The sign of the first axis is decided by the half of [0, 1) that a number is in, the next by the half of that half,
    and so on.

    Args:
        choice: Numbers in [0, 1), ``[B, K]``.
        axes: D, the number of axes.
        special: Chooses the last sign so that the product of all is 1.

    Returns:
        Signs ``[B, K, D]``.
    """
    free = axes - special
    index = (choice * 2**free).long()[..., None]
    signs = (1 - 2 * (index >> torch.arange(free - 1, -1, -1, device=choice.device) & 1)).to(choice.dtype)
    return torch.cat([signs, signs.prod(-1, keepdim=True)], -1) if special else signs


def framed_geometry(x: Structure, group: WithAxes) -> Tensor:
    """The geometry ``[B, N, D, P + V]`` in the rest frame, or about the origin if the group has no translations.

    Points are zero if they differ from the centroid by rounding only.
    """
    if isinstance(group, AffineGroup):
        return group.geometry_at_rest(x)
    if isinstance(group, OrthogonalGroup):
        return torch.cat([x.points, x.vectors], -1)
    points = x.geometry[..., : x.points.shape[-1]]  # the axes do not depend on the scale
    rounding = (CENTRING_ROUNDING * torch.finfo(points.dtype).eps) ** 2 * x.points.square().sum((1, 2, 3), keepdim=True)
    return torch.cat([points * (points.square().sum((1, 2, 3), keepdim=True) > rounding), x.vectors], -1)


def scatter(x: Structure, group: WithAxes) -> Tensor:
    """The covariance of the points ``[B, D, D]``, or of the vectors if there are no points.

    For Aff(d), the sum of |z|^2 z z^T over points and vectors (Cardoso 1989): their covariance in the rest frame is the
    identity.
    """
    geometry = framed_geometry(x, group)
    if isinstance(group, AffineGroup):
        geometry = geometry * geometry.square().sum(2, keepdim=True).sqrt()
    elif x.points.shape[-1]:
        geometry = geometry[..., : x.points.shape[-1]]
    flat = geometry.transpose(2, 3).flatten(1, 2)  # [B, N * C, D]
    return flat.mT @ flat


def principal_axes(x: Structure, group: WithAxes, noise: Tensor) -> Tensor:
    """The eigenvectors of :func:`scatter` as columns, in ascending order of eigenvalues.

    Args:
        x: B structures.
        group: The group whose frame it is.
        noise: Standard normal numbers ``[B, K, D, D]``, from which bases of eigenspaces of several dimensions are made.

    Returns:
        Orthogonal matrices ``[B, K, D, D]``.
    """
    values, vectors = eigenbasis(scatter(x, group))
    together = eigenspaces(values)
    alone = together.sum(-1, keepdim=True) == 1
    identity = torch.eye(values.shape[-1], dtype=values.dtype, device=values.device)
    basis = torch.where(alone[:, None], identity, noise * together[:, None])
    return vectors[:, None] @ gram_schmidt(basis)


def eigenspaces(values: Tensor) -> Tensor:
    """Whether two of the ascending eigenvalues ``[B, D]`` belong to one eigenspace, ``[B, D, D]``."""
    space = (values.diff(dim=-1, prepend=values[:, :1]) > EIGENVALUE_TOLERANCE * values[:, -1:]).cumsum(-1)
    return space[:, :, None] == space[:, None]


def sorting_frame(x: Structure, noise: Tensor) -> Permutation:
    """Orders of the nodes by descending rows of S(X), with ties broken by ``noise`` ``[B, K, N]`` in [0, 1)."""
    return _ordered(x, ranks_of(x)[:, None], noise)


def order_in_pose(x: Structure, space: Element, noise: Tensor) -> Permutation:
    """Orders of the nodes by their coordinates and scalars after the inverse of each element of ``space``.

    Nodes are compared by the first coordinate of the first point, then by the next, and so on. Differences within 1e-4
    of the largest number are ties, which ``noise`` ``[B, K, N]`` in [0, 1) breaks.
    """
    seen = x.acted(space.inverse())
    rows = torch.cat([seen.points.mT.flatten(2), seen.vectors.mT.flatten(2), seen.node_scalars], -1)
    tolerance = PLACE_TOLERANCE * rows.abs().amax((1, 2), keepdim=True)
    ranks = lexicographic_ranks(stepped(rows, seen.mask, tolerance)).unflatten(0, (len(x), -1))
    return _ordered(x, ranks, noise)


def _ordered(x: Structure, ranks: Tensor, noise: Tensor) -> Permutation:
    """Existing nodes in descending order of ``ranks`` ``[B, K or 1, N]``; ``noise`` in [0, 1) orders equal ranks."""
    scores = (ranks.to(noise.dtype) + noise).masked_fill(~x.mask[:, None], -torch.inf)
    return Permutation.from_images(scores.argsort(dim=-1, descending=True, stable=True))


def stepped(values: Tensor, mask: Tensor, tolerance: Tensor) -> Tensor:
    """Ranks of ``values`` in each column, int64 ``[M, N, C]``, where a rank rises by a gap above ``tolerance``."""
    in_order, order = values.masked_fill(~mask[..., None], torch.inf).sort(dim=1)
    steps = (in_order.diff(dim=1, prepend=in_order[:, :1]) > tolerance).cumsum(1)
    return steps.gather(1, inverse_of(order.mT).mT)
