"""Frame averaging: uniform on a finite set of elements that moves with the input (Puny et al. 2022)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.samplers.sampler import Sample, Sampler
from tasks.symmetry.element import Element, Linear, Permutation, Product
from tasks.symmetry.groups import EuclideanGroup, Group, OrthogonalGroup, SymmetricGroup, about_centroid, factors
from tasks.symmetry.noise import Generator, Noise, normal, uniform
from tasks.symmetry.orthogonal import gram_schmidt
from tasks.symmetry.structure import Signature, Structure

EIGENVALUE_TOLERANCE = 1e-4
CENTRING_ROUNDING = 64  # in units of the last place of the points
SIGNATURE_DECIMALS = 2

Rotations = OrthogonalGroup | EuclideanGroup


class FrameSampler(Sampler):
    """Elements of an equivariant frame.

    Rotations: the principal axes of the points with every choice of signs, 2^d for O(d) and half for SO(d); all of
    them where ``exact`` (then the sampler brings its own number of samples), else drawn uniformly.
    Permutations: the orders that sort the nodes by their spectral signature, ties drawn uniformly.

    Degenerate points have no finite equivariant frame: any basis of an eigenspace does. Where eigenvalues of the
    covariance agree within 1e-4 of the largest, the basis of their eigenspace is drawn from Haar measure (one for all
    the signs where ``exact``), so that the law still moves with the input. That is so for symmetric points; for fewer
    points than dimensions, whose axes off their span are drawn (and an exact frame stays exactly equivariant as long
    as vectors lie in that span too); and for one node, or nodes in one place, where it is all of the group.
    """

    def __init__(self, group: Group, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__(group)
        parts = factors(group)
        rotations = [factor for factor in parts if not isinstance(factor, SymmetricGroup)]
        if params["exact"] and rotations:
            assert isinstance(rotations[0], OrthogonalGroup | EuclideanGroup)
            self.fixed_samples = len(_signs(rotations[0]))
        self.exact = self.fixed_samples is not None
        self.deterministic = self.exact and len(rotations) == len(parts)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        samples = self.fixed_samples or samples
        return tuple(
            part for factor in factors(self.group) for part in self._factor_noise(x, factor, samples, generator)
        )

    def _factor_noise(self, x: Structure, group: Group, samples: int, generator: Generator) -> Noise:
        if isinstance(group, SymmetricGroup):
            return (uniform((len(x), samples, x.nodes), x.edge_scalars, generator),)
        dimension = x.points.shape[2]
        if not self.exact:
            choice = uniform((len(x), samples), x.points, generator)
            return choice, normal((len(x), samples, dimension, dimension), x.points, generator)
        # One point in each of the equal parts of [0, 1) that stand for the elements, one basis for all of them.
        middles = (torch.arange(samples, device=x.points.device) + 0.5) / samples
        basis = normal((len(x), 1, dimension, dimension), x.points, generator)
        return middles.to(x.points.dtype).expand(len(x), -1), basis.expand(-1, samples, -1, -1)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        parts = iter(noise)
        elements = tuple(self._element(x, factor, parts) for factor in factors(self.group))
        return Sample(elements[0] if len(elements) == 1 else Product(elements))

    def _element(self, x: Structure, group: Group, noise: Iterator[Tensor]) -> Element:
        if isinstance(group, SymmetricGroup):
            return self._order(x, next(noise))
        assert isinstance(group, OrthogonalGroup | EuclideanGroup)
        choice, basis = next(noise), next(noise)
        rotation = Linear(self._signed(x, group, principal_axes(x, group, basis), choice))
        return about_centroid(rotation, x) if isinstance(group, EuclideanGroup) else rotation

    def _order(self, x: Structure, noise: Tensor) -> Permutation:
        return sorting_frame(x, noise)

    def _signed(self, x: Structure, group: Rotations, axes: Tensor, choice: Tensor) -> Tensor:
        """The axes ``[B, K, D, D]`` with the signs that ``choice`` ``[B, K]``, from [0, 1), stands for."""
        if group.special:
            axes = torch.cat([axes[..., :1] * torch.linalg.det(axes).sign()[..., None, None], axes[..., 1:]], -1)
        return axes * chosen(_signs(group), choice)[..., None, :]


def _signs(group: Rotations) -> list[tuple[float, ...]]:
    """All sign choices of the axes that the group allows; for SO(d) relative to axes of determinant 1."""
    choices = itertools.product((1.0, -1.0), repeat=group.dimension)
    return [signs for signs in choices if not group.special or signs.count(-1.0) % 2 == 0]


def chosen(signs: Sequence[tuple[float, ...]], choice: Tensor) -> Tensor:
    """``[B, K, D]``: which of the sign choices each number of [0, 1) stands for, in equal parts."""
    table = torch.as_tensor(signs, dtype=choice.dtype, device=choice.device)
    return table[(choice * len(table)).long()]


def framed_points(x: Structure, group: Rotations) -> Tensor:
    """``[B, N, D, P]``: the points about the centroid where the group has translations, else about the origin.

    Zero where all that is left of them is the rounding of the centroid.
    """
    if not isinstance(group, EuclideanGroup):
        return x.points
    points = x.geometry[..., : x.points.shape[-1]]
    rounding = (CENTRING_ROUNDING * torch.finfo(points.dtype).eps) ** 2 * x.points.square().sum((1, 2, 3), keepdim=True)
    return points * (points.square().sum((1, 2, 3), keepdim=True) > rounding)


def principal_axes(x: Structure, group: Rotations, noise: Tensor) -> Tensor:
    """The eigenvectors of the covariance of the points ``[B, K, D, D]``, columns by ascending eigenvalue.

    The basis of an eigenspace of several dimensions comes from normal ``noise`` of the same shape, by Haar measure.
    """
    flat = framed_points(x, group).transpose(2, 3).flatten(1, 2)  # [B, N * P, D]
    values, vectors = torch.linalg.eigh(flat.mT @ flat)
    space = (values.diff(dim=-1, prepend=values[:, :1]) > EIGENVALUE_TOLERANCE * values[:, -1:]).cumsum(-1)
    together = space[:, :, None] == space[:, None]
    alone = together.sum(-1, keepdim=True) == 1
    identity = torch.eye(values.shape[-1], dtype=values.dtype, device=values.device)
    basis = torch.where(alone[:, None], identity, noise * together[:, None])
    return vectors[:, None] @ gram_schmidt(basis)


def spectral_signature(x: Structure) -> Tensor:
    """S(X) ``[B, N, N]``: a column for each distinct Laplacian eigenvalue, in ascending order, zeros behind.

    |eigenvector| where the eigenvalue is simple, else the row norms of its eigenspace's basis: one formula, the root
    of the summed squares within an eigenspace. Rounded to 2 decimals (Kim et al. 2023, after Puny et al. 2022).
    """
    adjacency = x.adjacency.double()
    laplacian = torch.diag_embed(adjacency.sum(-1)) - adjacency
    absent = ~x.mask
    # Absent nodes get an eigenvalue of their own above all others, so that their columns come last.
    beyond = 2 * adjacency.abs().sum(-1).amax(-1, keepdim=True) + 1
    values, vectors = torch.linalg.eigh(laplacian + torch.diag_embed(absent * beyond))
    scale = values.abs().amax(-1, keepdim=True).clamp_min(1)
    distinct = (values.diff(dim=-1, prepend=values[:, :1]) > EIGENVALUE_TOLERANCE * scale).cumsum(-1)
    squares = torch.zeros_like(vectors).scatter_add_(-1, distinct[:, None].expand_as(vectors), vectors.square())
    # The offset keeps values such as 1/8 off the rounding's edge, where the order of a sum would decide.
    return ((squares.sqrt() + 1e-9) * x.mask[..., None]).round(decimals=SIGNATURE_DECIMALS)


def sorting_frame(x: Structure, noise: Tensor) -> Permutation:
    """Orders of the nodes, descending by the rows of S(X), ties broken by ``noise`` ``[B, K, N]``."""
    ranks = _lexicographic_ranks(spectral_signature(x))
    scores = ranks[:, None].to(noise.dtype) + noise
    scores = scores.masked_fill(~x.mask[:, None], -torch.inf)
    return Permutation.from_images(scores.argsort(dim=-1, descending=True, stable=True))


def _lexicographic_ranks(rows: Tensor) -> Tensor:
    """``[B, N]``: equal numbers for equal rows, in lexicographic order."""
    order = torch.arange(rows.shape[1], device=rows.device).expand(rows.shape[:2])
    for column in range(rows.shape[-1] - 1, -1, -1):  # a stable sort from the last key to the first
        keys = rows[..., column].gather(-1, order)
        order = order.gather(-1, keys.argsort(dim=-1, stable=True))
    in_order = rows.gather(1, order[..., None].expand_as(rows))
    steps = (in_order[:, 1:] != in_order[:, :-1]).any(-1).cumsum(-1)
    ranks_in_order = torch.cat([steps.new_zeros(len(rows), 1), steps], -1)
    return torch.empty_like(order).scatter_(-1, order, ranks_in_order)
