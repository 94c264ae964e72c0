"""Minimal frames: as few elements as canonical forms allow, most often one (Lin et al. 2024)."""

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
    """One element of an equivariant frame in which only what the input leaves open is left to chance.

    Rotations: the principal axes of the points, each pointing to where the first odd statistic (see
    :func:`directions`) says. Where all are even the sign stays open; SO(d) closes one such sign by the determinant,
    or turns the first axis where none is open. With ``exact`` all sign choices are tried, repeats included, which
    costs 2^d elements and leaves no chance in them. Degenerate points are as for :class:`FrameAveraging`.
    Permutations: a canonical order by colour refinement. While colours are shared, a node drawn uniformly from the
    lowest shared colour gets a colour of its own. Where shared colours are orbits, as for almost all graphs, every
    outcome gives the same graph and the method is exactly invariant; else the frame is larger than need be. Scalars
    count by their ranks, in which rounding is no step (:func:`levels`): distances computed again from rotated points
    give the same order. A gap just as wide as the largest rounding stays a discontinuity, which no single order of the
    nodes avoids (Dym et al. 2024).
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
            turned = one_hot((known == 0).int().argmax(-1), group.dimension)  # an open sign, else the first
            signs = torch.where(turned == 1, signs * determinant[..., None], signs)
        return axes * signs[..., None, :]


def directions(x: Structure, group: WithAxes, axes: Tensor) -> Tensor:
    """``[B, K, D]``: the sign that makes an odd statistic along each of the ``axes`` positive, 0 where all vanish.

    The first that does not vanish counts, of sums over nodes of coordinates, of their cubes and of coordinates times
    squared lengths, each for every channel of points and vectors; none depends on the order of nodes.
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
    """Nodes in the order of colours that are refined until none is shared; ``noise`` ``[B, K, N]`` draws."""
    order = individualised(hashed(levels(x.node_scalars, x.mask)), edge_colours(x), x.mask, noise)
    return Permutation.from_images(order)


def individualised(colours: Tensor, alike: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
    """The order ``[B, K, N]`` from hashes of nodes ``[B, N]`` and of edges ``alike`` ``[B, N, N]``."""
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
    """Hashes ``[B, N, N]`` of the ranks of edge scalars, some structures at a time: ranks are 64-bit numbers."""
    edges, exist = x.edge_scalars.flatten(1, 2), x.pair_mask.flatten(1, 2)
    step = max(1, SCALARS_AT_ONCE // max(1, math.prod(edges.shape[1:])))
    parts = zip(edges.split(step), exist.split(step), strict=True)
    return torch.cat([hashed(levels(*part)) for part in parts]).unflatten(1, (x.nodes, x.nodes))


def levels(values: Tensor, exists: Tensor) -> Tensor:
    """``[B, M, C]`` int64: ranks of ``values`` in each channel of a structure; neighbours within rounding share one."""
    rounding = SCALAR_ROUNDING * torch.finfo(values.dtype).eps
    return stepped(values, exists, rounding * (values * exists[..., None]).abs().amax(1, keepdim=True))


def _shared(colours: Tensor, mask: Tensor) -> Tensor:
    """``[M, N]``: nodes whose colour another node of the same structure has."""
    same = (colours[:, :, None] == colours[:, None]) & mask[:, None]
    return (same.sum(-1) > 1) & mask
