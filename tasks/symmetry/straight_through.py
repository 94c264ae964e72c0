"""Permutations by gather, with the straight-through gradient of the matrix M_g Q (or Q^T M_g^-1).

The straight-through matrix P = P_hard - stop_gradient(P_soft) + P_soft has the value P_hard and passes its gradient
on to P_soft (Bengio et al. 2013; Kim et al. 2023, section 2.2). P_soft is a hard permutation times a soft identity Q,
so every matrix product of the forward pass is a gather. The backward pass is a gather too, by the inverse permutation;
torch's own gradient of a gather is a scatter, which adds in any order or sorts all indices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tasks.symmetry.dynamic_shapes import may_follow_data

PAIRS_AT_ONCE = 1 << 24  # pairs of nodes; their int64 indices take 128 MiB


def permute_nodes(
    values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor | None, relaxes_target: bool
) -> Tensor:
    """Permutes nodes: ``out[b, k, g(j)] = values[b, k, j]``.

    Args:
        values: ``[B, K or 1, N, ...]``.
        images: ``images[b, k, j] = g(j)``, int64 ``[B, K, N]``.
        preimages: The images of g^-1, int64 ``[B, K, N]``.
        relaxation: The soft identity Q ``[B, K, N, N]`` that receives the straight-through gradient, or None.
        relaxes_target: True if the soft matrix is Q^T M_g instead of M_g Q.

    Returns:
        ``[B, K, N, ...]``.
    """
    moved = _permute(values.flatten(3), images, preimages, relaxation, relaxes_target)
    return moved.reshape(*moved.shape[:3], *values.shape[3:])


def permute_edges(
    values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor | None, relaxes_target: bool
) -> Tensor:
    """Permutes both ends of edges: ``out[b, k, g(i), g(j)] = values[b, k, i, j]``, for values ``[B, K or 1, N, N, E]``.

    The other arguments are those of :func:`permute_nodes`.
    """
    return _permute(values, images, preimages, relaxation, relaxes_target)


def _permute(
    values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor | None, relaxes_target: bool
) -> Tensor:
    """Permutes nodes ``[B, K or 1, N, C]`` or edges ``[B, K or 1, N, N, E]``, which differ in their number of axes."""
    if not torch.is_grad_enabled() or (relaxation is None and not values.requires_grad):
        return _gather(values, preimages)
    if relaxation is None:
        return _Permute.apply(values, images, preimages)
    return _PermuteSoftly.apply(values, images, preimages, relaxation, relaxes_target)


def _gather(values: Tensor, index: Tensor) -> Tensor:
    return _gather_nodes(values, index) if values.dim() == 4 else _in_parts(_gather_edges, values, index)


def _gather_nodes(values: Tensor, index: Tensor) -> Tensor:
    structures, samples, nodes, channels = values.shape
    if channels > 1 and may_follow_data(values):  # whole rows: several times as fast on a CPU as number by number
        first = torch.arange(structures * samples, device=index.device).view(structures, samples, 1) * nodes
        places = first + index
        return values.flatten(0, 2).index_select(0, places.flatten()).view(*places.shape, channels)
    places = index.expand(-1, max(index.shape[1], samples), -1)
    if channels == 1:
        return values[..., 0].expand(-1, places.shape[1], -1).gather(2, places)[..., None]
    return values.expand(-1, places.shape[1], -1, -1).gather(2, places[..., None].expand(-1, -1, -1, channels))


def _gather_edges(values: Tensor, index: Tensor) -> Tensor:
    nodes = index.shape[-1]
    pairs = (index[..., :, None] * nodes + index[..., None, :]).flatten(2)
    return _gather_nodes(values.flatten(2, 3), pairs).unflatten(2, (nodes, nodes))


def _in_parts(compute: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> Tensor:
    """Calls ``compute`` on slices of the batch with at most ``PAIRS_AT_ONCE`` pairs of nodes and joins the results.

    Both tensors are ``[B, K or 1, N, ...]``.
    """
    pairs = max(first.shape[1], second.shape[1]) * first.shape[2] ** 2
    step = max(1, PAIRS_AT_ONCE // pairs)
    if len(first) <= step:
        return compute(first, second)
    return torch.cat([compute(*parts) for parts in zip(first.split(step), second.split(step), strict=True)])


class _Permute(torch.autograd.Function):
    """A gather whose gradient is a gather by the inverse permutation."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, images: Tensor, preimages: Tensor) -> Tensor:
        return _gather(values, preimages)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        values, images, _ = inputs
        ctx.samples = values.shape[1]
        ctx.save_for_backward(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (images,) = ctx.saved_tensors
        return _of_values(_gather(gradients[0], images), ctx.samples), None, None


class _PermuteSoftly(torch.autograd.Function):
    """The gather of :class:`_Permute` with a gradient for Q as well."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, images: Tensor, preimages: Tensor, relaxation: Tensor, relaxes_target: bool) -> Tensor:
        return _gather(values, preimages)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        values, images, _, _, ctx.relaxes_target = inputs
        ctx.samples = values.shape[1]
        ctx.save_for_backward(images, output if ctx.relaxes_target else values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        images, kept = ctx.saved_tensors
        needs_values = ctx.needs_input_grad[0]
        # If Q acts after the permutation, its gradient does not need the inverse.
        pulled = _gather(gradient, images) if needs_values or not ctx.relaxes_target else gradient
        values_gradient = _of_values(pulled, ctx.samples) if needs_values else None
        pair = (kept, gradient) if ctx.relaxes_target else (pulled, kept)
        return values_gradient, None, None, _in_parts(_relaxation_gradient, *pair), None


def _of_values(pulled: Tensor, samples: int) -> Tensor:
    """The gradient of values with ``samples`` of them for each structure: a single one sums over all elements."""
    return pulled.sum(1, keepdim=True) if samples == 1 else pulled


def _relaxation_gradient(left: Tensor, right: Tensor) -> Tensor:
    """The gradient of Q ``[B, K, N, N]`` at the identity, for an output with gradient G.

    Nodes: out = Q^T y gives y G^T (left y, right G) and out = Q v gives G v^T (left G, right v). Edges are permuted on
    both sides: out = Q^T Y Q gives Y G^T + Y^T G and out = Q V Q^T gives G V^T + G^T V. The products sum over
    channels.
    """
    if left.dim() == 4:
        return left @ right.mT
    turned = left.transpose(2, 3).flatten(3) @ right.transpose(2, 3).flatten(3).mT
    return turned.add_(left.flatten(3) @ right.flatten(3).mT)
