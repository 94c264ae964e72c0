"""Sinkhorn-normalised SoftSort of sorted scores, with its exact gradient: as matrices, or along the line."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from tasks.symmetry.dynamic_shapes import by_size, put_together
from tasks.symmetry.line_kernel import LARGEST_SPREAD, LineKernel

ON_CPU = range(24, 129)  # numbers of nodes for which a CPU multiplies by matrices sooner, in single precision
ELSEWHERE = range(257)  # along the line there are eight times as many operators, which an accelerator has to start


def soft_identity(sorted_scores: Tensor, mask: Tensor, temperature: float, steps: int, spread: float) -> Tensor:
    """Sinkhorn-normalised SoftSort of scores ``[M, N]`` that are sorted already (descending): ``[M, N, N]``.

    ``P[i, j]`` starts as exp(-|s_(i) - s_(j)| / temperature) (Prillo and Eisenschlos 2020) and is normalised ``steps``
    times over rows, then columns (Sinkhorn 1964). Times the hard permutation it is the paper's P_soft. Entries of
    nodes that do not exist are zero. ``mask`` is ``[M, N]``; no two scores of a row may differ by more than ``spread``.

    Two ways give the same to rounding: as matrices, in the precision of the scores, and along the line, in double
    precision, whose time grows with N alone. The first is for few nodes and for any distances.
    """
    far = spread / temperature >= LARGEST_SPREAD
    way = Dense if far or _fits_matrices(sorted_scores) else AlongLine
    soft, *_ = way.apply(sorted_scores, mask, temperature, steps)
    return soft


def _fits_matrices(scores: Tensor) -> bool:
    """Whether matrices are the faster way, as measured on CPUs, and by the number of operators elsewhere."""
    nodes = scores.shape[-1]
    if scores.device.type == "cpu":
        return scores.dtype is torch.float32 and nodes in ON_CPU
    return nodes in ELSEWHERE


class Dense(torch.autograd.Function):
    """Scalings a, b of a symmetric kernel K, so that P = diag(a) K diag(b), by products with the matrix K.

    K has a unit diagonal, so a and b stay within [1/N, N] and no logarithm is needed. Beside P come the scalings
    ``[2 steps + 1, m, 1, n]``, b and a in turns, of each part of the M rows: the backward pass goes through them.
    Vectors are rows, which a CPU multiplies with a matrix several times as fast as columns.
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
    """P and all scalings ``[2 steps + 1, M, 1, N]``."""
    kernel = (scores[:, :, None] - scores[:, None]).abs_().mul_(-1 / temperature).exp_()
    row = keep[:, None]
    kernel.mul_(keep[:, :, None]).mul_(row)
    absent, scalings = 1 - row, [row]
    for _ in range(2 * steps):
        scalings.append(row / torch.baddbmm(absent, scalings[-1], kernel))
    return kernel.mul_(scalings[-2].mT).mul_(scalings[-1]), torch.stack(scalings)


def _through_normalisations(gradient: Tensor, mask: Tensor, soft: Tensor, scalings: Tensor) -> Tensor:
    """The gradient ``[M, N]`` of the points."""
    log_soft = gradient * soft
    inverse = (scalings[-2:] + ~mask[:, None]).reciprocal_()
    kernel = soft * inverse[0].mT * inverse[1]
    # Gradients of the logarithms, from the last normalisation (columns) back to the first; rows have their own too.
    log_scaling, own = log_soft.sum(-2, keepdim=True), log_soft.sum(-1)[:, None]
    backwards, negative = reversed(scalings.unbind(0)[1:]), reversed(scalings.neg().unbind(0)[:-1])
    products = []  # gradients of what K times a scaling comes to
    for scaling, before in zip(backwards, negative, strict=True):
        products.append(log_scaling * scaling)
        through = before * torch.bmm(products[-1], kernel)
        log_scaling = through + own if len(products) == 1 else through
    pairs = torch.cat(products, 1).mT @ scalings[:-1].flip(0)[:, :, 0].transpose(0, 1)
    order = torch.ones_like(soft[0]).triu(1)
    signed = torch.addcmul(log_soft, pairs, kernel, value=-1).mul_(order - order.mT)
    return signed.sum(-2) - signed.sum(-1)


class AlongLine(torch.autograd.Function):
    """The same scalings ``[2 steps + 1, M, N]`` by products in linear time; only P itself is laid out as a matrix."""

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
    """1 / (K scaling) where a node exists, else zero."""
    before, after = kernel.halves(scaling)
    return keep / (scaling + before + after + (1 - keep))


def _through_product(kernel: LineKernel, scaling: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of K scaling, weighted by ``gradient``: with respect to ``scaling`` and to the points of K."""
    before, after = kernel.halves(gradient)
    scaling_before, scaling_after = kernel.halves(scaling)
    moved = scaling * (before - after) + gradient * (scaling_before - scaling_after)
    return gradient + before + after, moved


def _through_distances(log_kernel: Tensor) -> Tensor:
    """Gradient of sums over -|t_i - t_j| weighted by ``log_kernel`` ``[M, N, N]``, for t in descending order."""
    order = torch.ones_like(log_kernel[0]).triu(1)
    signed = log_kernel * (order - order.mT)
    return (signed.sum(-2) - signed.sum(-1)).double()
