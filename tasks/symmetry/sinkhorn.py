"""Sinkhorn-normalised SoftSort of sorted scores, with its exact gradient."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from tasks.symmetry.dynamic_shapes import by_size, put_together
from tasks.symmetry.line_kernel import LARGEST_SPREAD, LineKernel

ON_CPU = range(24, 129)  # numbers of nodes for which matrices are faster on a CPU, in single precision
ELSEWHERE = range(257)  # the line kernel launches eight times as many operators, which is slow on an accelerator


def soft_identity(sorted_scores: Tensor, mask: Tensor, temperature: float, steps: int, spread: float) -> Tensor:
    """Sinkhorn-normalised SoftSort of sorted scores: a soft identity.

    ``P[i, j]`` starts as exp(-|s_i - s_j| / temperature) (Prillo and Eisenschlos 2020) and is normalised ``steps``
    times over rows, then columns (Sinkhorn 1964). The product with the hard permutation is P_soft of
    Kim et al. (2023).

    Two implementations agree to rounding: :class:`Dense` multiplies by matrices in the precision of the scores, and
    :class:`AlongLine` takes linear time for each normalisation, in double precision. The faster one is used, and
    :class:`Dense` where scores are too far apart for the other.

    Args:
        sorted_scores: Scores in descending order, ``[M, N]``.
        mask: True for nodes that exist, ``[M, N]``.
        temperature: Positive; P tends to the identity as it goes to 0.
        steps: Number of normalisations of rows and columns.
        spread: An upper bound on the difference of two scores of a row.

    Returns:
        P ``[M, N, N]``, zero for absent nodes.
    """
    far = spread / temperature >= LARGEST_SPREAD
    way = Dense if far or _fits_matrices(sorted_scores) else AlongLine
    soft, *_ = way.apply(sorted_scores, mask, temperature, steps)
    return soft


def _fits_matrices(scores: Tensor) -> bool:
    """Returns True if matrices are faster, as measured on CPUs, and by the number of operators elsewhere."""
    nodes = scores.shape[-1]
    if scores.device.type == "cpu":
        return scores.dtype is torch.float32 and nodes in ON_CPU
    return nodes in ELSEWHERE


class Dense(torch.autograd.Function):
    """P = diag(a) K diag(b) for a symmetric kernel K, by products with the matrix K.

    K has a unit diagonal, so the scalings a and b stay within [1/N, N] and no logarithm is needed. The second output
    has all scalings ``[2 steps + 1, m, 1, n]``, b and a in turns, of each part of the M rows, for the backward pass.
    Vectors are rows: a CPU multiplies them with a matrix several times as fast as columns.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, mask: Tensor, temperature: float, steps: int) -> tuple[Tensor, ...]:
        keep, parts = mask.to(scores.dtype), by_size(mask)
        normalised = [_normalised(part.vectors(scores), part.vectors(keep), temperature, steps) for part in parts]
        softs, scalings = zip(*normalised, strict=True)
        return put_together(softs, parts, (*scores.shape, scores.shape[-1])), *scalings

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, mask, ctx.temperature, _ = inputs
        soft, *scalings = output
        ctx.mark_non_differentiable(*scalings)
        ctx.save_for_backward(mask, soft, *scalings)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        mask, soft, *scalings = ctx.saved_tensors
        parts = by_size(mask)
        found = [
            _through_normalisations(part.matrices(gradients[0]), part.vectors(mask), part.matrices(soft), scaling)
            for part, scaling in zip(parts, scalings, strict=True)
        ]
        return put_together(found, parts, mask.shape).div_(ctx.temperature), None, None, None


def _normalised(scores: Tensor, keep: Tensor, temperature: float, steps: int) -> tuple[Tensor, Tensor]:
    """P ``[M, N, N]`` and all scalings ``[2 steps + 1, M, 1, N]``."""
    kernel = (scores[:, :, None] - scores[:, None]).abs_().mul_(-1 / temperature).exp_()
    row = keep[:, None]
    kernel.mul_(keep[:, :, None]).mul_(row)
    absent, scalings = 1 - row, [row]
    for _ in range(2 * steps):
        scalings.append(row / torch.baddbmm(absent, scalings[-1], kernel))
    return kernel.mul_(scalings[-2].mT).mul_(scalings[-1]), torch.stack(scalings)


def _through_normalisations(gradient: Tensor, mask: Tensor, soft: Tensor, scalings: Tensor) -> Tensor:
    """The gradient ``[M, N]`` with respect to the scores divided by the temperature."""
    log_soft = gradient * soft
    inverse = (scalings[-2:] + ~mask[:, None]).reciprocal_()
    kernel = soft * inverse[0].mT * inverse[1]
    # Gradients of the logarithms, from the last normalisation (columns) back to the first. The last scaling of rows
    # also has a gradient of its own, since P depends on it directly.
    log_scaling, own = log_soft.sum(-2, keepdim=True), log_soft.sum(-1)[:, None]
    backwards, negative = reversed(scalings.unbind(0)[1:]), reversed(scalings.neg().unbind(0)[:-1])
    products = []  # gradients of the products of K and a scaling
    for scaling, before in zip(backwards, negative, strict=True):
        products.append(log_scaling * scaling)
        through = before * torch.bmm(products[-1], kernel)
        log_scaling = through + own if len(products) == 1 else through
    pairs = torch.cat(products, 1).mT @ scalings[:-1].flip(0)[:, :, 0].transpose(0, 1)
    order = torch.ones_like(soft[0]).triu(1)
    signed = torch.addcmul(log_soft, pairs, kernel, value=-1).mul_(order - order.mT)
    return signed.sum(-2) - signed.sum(-1)


class AlongLine(torch.autograd.Function):
    """P and the scalings ``[2 steps + 1, M, N]`` by products in linear time; only P itself is a matrix."""

    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, mask: Tensor, temperature: float, steps: int) -> tuple[Tensor, Tensor]:
        keep = mask.double()
        kernel = LineKernel(scores.double() / temperature, keep)
        scalings = [keep]
        for _ in range(2 * steps):
            scalings.append(_normaliser(kernel, scalings[-1], keep))
        rows, columns = (scaling.to(scores.dtype) for scaling in scalings[-2:])
        soft = (scores[:, :, None] - scores[:, None, :]).abs_().mul_(-1 / temperature).exp_()
        soft.mul_(rows[:, :, None]).mul_(columns[:, None, :])
        return soft, torch.stack(scalings)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        scores, mask, ctx.temperature, _ = inputs
        soft, scalings = output
        ctx.mark_non_differentiable(scalings)
        ctx.save_for_backward(scores, mask, soft, scalings)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scores, mask, soft, scalings = ctx.saved_tensors
        kernel = LineKernel(scores.double() / ctx.temperature, mask.double())
        log_soft = gradients[0] * soft
        points = _through_distances(log_soft)
        log_scaling, log_before = log_soft.sum(-2).double(), log_soft.sum(-1).double()
        for scaling, before in itertools.pairwise(reversed(scalings.unbind(0))):
            through, moved = _through_product(kernel, before, -log_scaling * scaling)
            points = points + moved
            log_scaling, log_before = log_before + before * through, torch.zeros_like(log_before)
        return (points / ctx.temperature).to(soft.dtype), None, None, None


def _normaliser(kernel: LineKernel, scaling: Tensor, keep: Tensor) -> Tensor:
    """The scaling 1 / (K ``scaling``) ``[M, N]``, zero for absent nodes."""
    before, after = kernel.halves(scaling)
    return keep / (scaling + before + after + (1 - keep))


def _through_product(kernel: LineKernel, scaling: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients ``[M, N]`` of ``gradient`` . (K ``scaling``) with respect to ``scaling`` and to the points."""
    before, after = kernel.halves(gradient)
    scaling_before, scaling_after = kernel.halves(scaling)
    moved = scaling * (before - after) + gradient * (scaling_before - scaling_after)
    return gradient + before + after, moved


def _through_distances(log_kernel: Tensor) -> Tensor:
    """The gradient ``[M, N]`` of sum_ij -w_ij |t_i - t_j| with w ``log_kernel`` ``[M, N, N]``, for descending t."""
    order = torch.ones_like(log_kernel[0]).triu(1)
    signed = log_kernel * (order - order.mT)
    return (signed.sum(-2) - signed.sum(-1)).double()
