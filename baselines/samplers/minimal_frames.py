"""Minimal frames: as few elements as canonical forms allow, usually one (Lin et al. 2024)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from baselines.catalogue.samplers import FrameSettings
from baselines.samplers.colour_refinement import refined
from baselines.samplers.coverage import uncovered_by_minimal_frames
from baselines.samplers.frame_averaging import FrameAveraging, WithAxes, chosen_signs, framed_geometry, stepped
from baselines.samplers.hashing import hashed, mixed
from tasks.ragged import Stored
from tasks.symmetry.element import Permutation
from tasks.symmetry.groups import Group
from tasks.symmetry.structure import Signature, Structure

ODD_TOLERANCE = 1e-4
SCALARS_AT_ONCE = 1 << 24
SCALAR_ROUNDING = 1024  # in units of the last place of the largest scalar of a channel


class MinimalFrames(FrameAveraging):
    """One element of an equivariant frame, random only as far as the input does not determine it.

    Rotations: the principal axes of the points, with signs that make the first odd statistic that does not vanish
    positive (see :func:`directions`). If all vanish, the sign is drawn. For SO(d) the determinant decides one of the
    signs to draw, or flips the first axis if there is none. With ``exact`` all 2^d choices of signs are enumerated,
    with repetitions, so that no sign is drawn. Degenerate points are handled as in :class:`FrameAveraging`.

    Permutations: a canonical order by colour refinement. As long as nodes share colours, a node drawn uniformly from
    those with the lowest shared colour gets a colour of its own. If shared colours are orbits, as for almost all
    graphs, every draw gives the same graph and the method is exactly invariant; otherwise the frame is larger than
    necessary. Scalars are replaced by ranks that ignore rounding (:func:`levels`), so that distances computed from
    rotated points give the same order. The order is still discontinuous where a gap is as wide as the largest rounding
    error, which no single order of the nodes can avoid (Dym et al. 2024).
    """

    uncovered = staticmethod(uncovered_by_minimal_frames)

    def __init__(self, group: Group, signature: Signature, settings: FrameSettings) -> None:
        super().__init__(group, signature, settings)
        if not self.exact:
            self.fixed_samples = 1

    def prepared(self, graphs: Stored) -> Stored:
        return graphs

    def _choices(self, factor: Group, signature: Signature) -> int:
        return 2**signature.dimension if isinstance(factor, WithAxes) else 1

    def _order(self, x: Structure, noise: Tensor) -> Permutation:
        return individualised_order(x, noise)

    def _signed(self, x: Structure, group: WithAxes, axes: Tensor, choice: Tensor) -> Tensor:
        known = directions(x, group, axes)
        signs = torch.where(known == 0, chosen_signs(choice, group.dimension), known)
        if group.special:
            determinant = torch.linalg.det(axes).sign() * signs.prod(-1)
            # The first sign that would be drawn, or the first sign if there is none.
            turned = one_hot((known == 0).int().argmax(-1), group.dimension)
            signs = torch.where(turned == 1, signs * determinant[..., None], signs)
        return axes * signs[..., None, :]


def directions(x: Structure, group: WithAxes, axes: Tensor) -> Tensor:
    """The signs that make an odd statistic along each axis positive.

    The statistics are sums over nodes of coordinates, of their cubes and of coordinates times squared lengths, for
    every channel of points and vectors; they do not depend on the order of nodes. The first that does not vanish
    decides.

    Args:
        x: B structures.
        group: The group whose frame it is.
        axes: Axes as columns, ``[B, K, D, D]``.

    Returns:
        Signs ``[B, K, D]``, 0 for an axis along which all statistics vanish.
    """
    geometry = framed_geometry(x, group)  # [B, N, D, C]
    lengths = geometry.square().sum(2, keepdim=True).sqrt()
    along = axes.mT[:, :, None] @ geometry[:, None]  # [B, K, N, D, C]
    odd = torch.cat([along.sum(2), along.pow(3).sum(2), (along * lengths[:, None].square()).sum(2)], -1)
    size = torch.cat([lengths.sum(1), lengths.pow(3).sum(1), lengths.pow(3).sum(1)], -1)[:, None]
    tells = odd.abs() > ODD_TOLERANCE * size
    first = tells.int().argmax(-1, keepdim=True)
    return (odd.gather(-1, first).sign() * tells.gather(-1, first)).squeeze(-1)


def individualised_order(x: Structure, noise: Tensor) -> Permutation:
    """Orders of the nodes by colours that are refined until none is shared, with draws from ``noise`` ``[B, K, N]``."""
    order = individualised(hashed(levels(x.node_scalars, x.mask)), edge_colours(x), x.mask, noise)
    return Permutation.from_images(order)


def individualised(colours: Tensor, alike: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
    """The orders ``[B, K, N]`` for hashes of nodes ``colours`` ``[B, N]`` and of edges ``alike`` ``[B, N, N]``."""
    structures, samples, nodes = noise.shape
    colours = refined(colours, alike, mask).repeat_interleave(samples, 0)
    mask, edges = mask.repeat_interleave(samples, 0), alike.repeat_interleave(samples, 0)
    while (shared := _shared(colours, mask)).any():
        lowest = colours.masked_fill(~shared, torch.iinfo(colours.dtype).max).amin(-1, keepdim=True)
        drawn = noise.flatten(0, 1).masked_fill(~shared | (colours != lowest), -torch.inf).argmax(-1)
        alone = (one_hot(drawn, nodes) == 1) & shared
        colours = refined(torch.where(alone, mixed(colours), colours), edges, mask)
    last = torch.iinfo(colours.dtype).min
    order = colours.masked_fill(~mask, last).argsort(dim=-1, descending=True, stable=True)
    return order.unflatten(0, (structures, samples))


def edge_colours(x: Structure) -> Tensor:
    """Hashes ``[B, N, N]`` of the ranks of edge scalars, computed in parts because ranks take 64 bits."""
    edges, exist = x.edge_scalars.flatten(1, 2), x.pair_mask.flatten(1, 2)
    step = max(1, SCALARS_AT_ONCE // max(1, math.prod(edges.shape[1:])))
    parts = zip(edges.split(step), exist.split(step), strict=True)
    return torch.cat([hashed(levels(*part)) for part in parts]).unflatten(1, (x.nodes, x.nodes))


def levels(values: Tensor, exists: Tensor) -> Tensor:
    """Ranks of ``values`` ``[B, M, C]`` in each channel of a structure, equal for values that differ by rounding."""
    rounding = SCALAR_ROUNDING * torch.finfo(values.dtype).eps
    return stepped(values, exists, rounding * (values * exists[..., None]).abs().amax(1, keepdim=True))


def _shared(colours: Tensor, mask: Tensor) -> Tensor:
    """Whether another node of the same structure has the colour of a node, ``[M, N]``."""
    same = (colours[:, :, None] == colours[:, None]) & mask[:, None]
    return (same.sum(-1) > 1) & mask
