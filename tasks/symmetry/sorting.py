"""From scores to permutations, and the soft permutation that carries their gradient."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from tasks.symmetry.line_kernel import LineKernel, line_kernel

ENTRY_FLOOR = 1e-12


def sort_descending(scores: Tensor, mask: Tensor) -> Tensor:
    """Nodes ``[..., N]`` in descending order of score; those that do not exist stay last, in place."""
    return scores.masked_fill(~mask, -torch.inf).argsort(dim=-1, descending=True, stable=True)


def soft_identity(sorted_scores: Tensor, mask: Tensor, temperature: float, steps: int, spread: float) -> Tensor:
    """Sinkhorn-normalised SoftSort of scores ``[M, N]`` that are sorted already (descending): ``[M, N, N]``.

    ``P[i, j]`` starts as exp(-|s_(i) - s_(j)| / temperature) (Prillo and Eisenschlos 2020) and is normalised ``steps``
    times over rows, then columns (Sinkhorn 1964). Times the hard permutation it is the paper's P_soft. Entries of
    nodes that do not exist are zero. ``mask`` is ``[M, N]``; no two scores of a row may differ by more than ``spread``.
    """
    soft, _ = _SoftIdentity.apply(sorted_scores, mask, temperature, steps, spread)
    return soft


class _SoftIdentity(torch.autograd.Function):
    """Sinkhorn's scalings a, b of a kernel K, so that P = diag(a) K diag(b), with their exact gradient.

    K is symmetric with a unit diagonal, so a and b stay within [1/N, N] and no logarithm is needed. Each normalisation
    is one product of K with a vector, which takes linear time on a line; only P itself is ever laid out as a matrix.
    Beside P come all scalings ``[2 steps + 1, M, N]``, b and a in turns: the backward pass goes through them.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, mask: Tensor, temperature: float, steps: int, spread: float) -> tuple[Tensor, Tensor]:
        keep = mask.double()
        kernel = _kernel(scores, keep, temperature, spread)
        scalings = [keep]
        for _ in range(2 * steps):
            scalings.append(_normaliser(kernel, scalings[-1], keep))
        rows, columns = (scaling.to(scores.dtype) for scaling in scalings[-2:])
        soft = (scores[:, :, None] - scores[:, None, :]).abs_().mul_(-1 / temperature).exp_()
        soft.mul_(rows[:, :, None]).mul_(columns[:, None, :])
        return soft, torch.stack(scalings)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        scores, mask, ctx.temperature, _, ctx.spread = inputs
        soft, scalings = output
        ctx.mark_non_differentiable(scalings)
        ctx.save_for_backward(scores, mask, soft, scalings)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scores, mask, soft, scalings = ctx.saved_tensors
        kernel = _kernel(scores, mask.double(), ctx.temperature, ctx.spread)
        log_soft = gradients[0] * soft
        points = _through_distances(log_soft)
        # Gradients of the logarithms, from the last normalisation (columns) back to the first; rows have their own too.
        log_scaling, log_before = log_soft.sum(-2).double(), log_soft.sum(-1).double()
        for scaling, before in itertools.pairwise(reversed(scalings.unbind(0))):
            through, moved = _through_product(kernel, before, -log_scaling * scaling)
            points = points + moved
            log_scaling, log_before = log_before + before * through, torch.zeros_like(log_before)
        return (points / ctx.temperature).to(soft.dtype), None, None, None, None


def _kernel(scores: Tensor, keep: Tensor, temperature: float, spread: float) -> LineKernel:
    return line_kernel(scores.double() / temperature, keep, spread / temperature)


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


def permutation_entropy(soft: Tensor, mask: Tensor) -> Tensor:
    """Mean over structures and nodes of row entropy + column entropy (nats) of ``soft`` ``[M, N, N]``: a scalar.

    Entries are clamped at 1e-12 and rows and columns renormalised (Kim et al. 2023). ``mask`` is ``[M, N]``.
    """
    return _PermutationEntropy.apply(soft, mask)[0]


class _PermutationEntropy(torch.autograd.Function):
    """-sum (p / t) log (p / t) = log t - (sum p log p) / t for every row and column of total t, and its gradient.

    Rows and columns share one p log p, and the gradient with respect to p is linear in log p: three passes over the
    matrices where automatic differentiation takes a dozen. Beside the entropy come log p and that line's slopes and
    offsets, for the backward pass.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(soft: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        keep = mask.to(soft.dtype)
        entries = soft.clamp_min(ENTRY_FLOOR).mul_(keep[:, :, None]).mul_(keep[:, None])
        logs = entries.clamp_min(ENTRY_FLOOR).log_()
        products = entries * logs
        weight = keep / keep.sum(-1, keepdim=True) / len(keep)  # of each node in the mean
        entropy = soft.new_zeros(())
        lines = []
        for axis in (-1, -2):
            total, product = entries.sum(axis) + (1 - keep), products.sum(axis)
            entropy = entropy + (weight * (total.log() - product / total)).sum()
            # d/dp = (1 - log p - 1) / t + (sum p log p) / t^2, each times the weight
            lines += [weight / total, weight * product / total.square()]
        return entropy, logs, *lines

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        soft, _ = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(soft, *output[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        soft, logs, row_slope, row_offset, column_slope, column_offset = ctx.saved_tensors
        slope = row_slope[:, :, None] + column_slope[:, None]
        gradient = torch.addcmul(row_offset[:, :, None] + column_offset[:, None], slope, logs, value=-1)
        return gradient.mul_(soft >= ENTRY_FLOOR).mul_(gradients[0]), None
