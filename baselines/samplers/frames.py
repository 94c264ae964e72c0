"""Frame averaging: uniform on a finite set of elements that moves with the input (Puny et al. 2022)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from baselines.samplers.sampler import Sample, Sampler
from tasks.symmetry.element import Element, Linear, Permutation, Product
from tasks.symmetry.groups import EuclideanGroup, Group, OrthogonalGroup, SymmetricGroup, about_centroid, factors
from tasks.symmetry.noise import Generator, Noise, uniform
from tasks.symmetry.structure import Signature, Structure

EIGENVALUE_TOLERANCE = 1e-4
SIGNATURE_DECIMALS = 2


class FrameSampler(Sampler):
    """Elements of an equivariant frame.

    Rotations: the principal axes of the points with every choice of signs, 2^d for O(d) and half for SO(d); all of
    them where ``exact`` (then the sampler brings its own number of samples), else drawn uniformly. Where the
    covariance has equal eigenvalues the axes are those that the eigensolver returns and the frame is not equivariant.
    Permutations: the orders that sort the nodes by their spectral signature, ties drawn uniformly.
    """

    def __init__(self, group: Group, signature: Signature, params: Mapping[str, Any]) -> None:
        super().__init__(group)
        parts = factors(group)
        rotations = [factor for factor in parts if not isinstance(factor, SymmetricGroup)]
        if params["exact"] and rotations:
            self.fixed_samples = len(_signs(rotations[0]))
        self.exact = self.fixed_samples is not None
        self.deterministic = self.exact and len(rotations) == len(parts)

    def noise(self, x: Structure, samples: int, generator: Generator) -> Noise:
        return tuple(self._factor_noise(x, factor, samples, generator) for factor in factors(self.group))

    def _factor_noise(self, x: Structure, group: Group, samples: int, generator: Generator) -> Tensor:
        samples = self.fixed_samples or samples
        if isinstance(group, SymmetricGroup):
            return uniform((len(x), samples, x.nodes), x.edge_scalars, generator)
        if self.exact:  # one point in each of the equal parts of [0, 1) that stand for the elements
            return (
                ((torch.arange(samples, device=x.points.device) + 0.5) / samples).to(x.points.dtype).expand(len(x), -1)
            )
        return uniform((len(x), samples), x.points, generator)

    def forward(self, x: Structure, noise: Noise) -> Sample:
        elements = tuple(self._element(x, f, part) for f, part in zip(factors(self.group), noise, strict=True))
        return Sample(elements[0] if len(elements) == 1 else Product(elements))

    def _element(self, x: Structure, group: Group, noise: Tensor) -> Element:
        if isinstance(group, SymmetricGroup):
            return sorting_frame(x, noise)
        signs = torch.as_tensor(_signs(group), dtype=x.points.dtype, device=x.points.device)
        return principal_axes(x, group, signs[(noise * len(signs)).long()])


def _signs(group: Group) -> list[tuple[float, ...]]:
    """All sign choices of the axes that the group allows; for SO(d) relative to axes of determinant 1."""
    assert isinstance(group, OrthogonalGroup | EuclideanGroup)
    choices = itertools.product((1.0, -1.0), repeat=group.dimension)
    return [signs for signs in choices if not group.special or signs.count(-1.0) % 2 == 0]


def principal_axes(x: Structure, group: Group, signs: Tensor) -> Element:
    """The eigenvectors of the covariance of the points with these ``signs`` ``[B, K, D]``, columns by eigenvalue.

    About the centroid where the group has translations, else about the origin.
    """
    assert isinstance(group, OrthogonalGroup | EuclideanGroup)
    translates = isinstance(group, EuclideanGroup)
    points = x.geometry[..., : x.points.shape[-1]] if translates else x.points
    flat = points.transpose(2, 3).flatten(1, 2)  # [B, N * P, D]
    axes = torch.linalg.eigh(flat.mT @ flat).eigenvectors
    if group.special:
        axes = torch.cat([axes[..., :1] * torch.linalg.det(axes).sign()[:, None, None], axes[..., 1:]], -1)
    rotation = Linear(axes[:, None] * signs[:, :, None, :])
    return about_centroid(rotation, x) if translates else rotation


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
